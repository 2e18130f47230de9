"""The operator's rights are the calls that it makes, recorded from whole lives of ledgers, no fewer and no more."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any

import kopf
import pytest

from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.packaging import rbac
from chronicle_operator.reconcile import resync
from chronicle_operator.reconcile.workqueue import WorkQueue
from chronicle_operator.serve import handlers
from chronicle_operator.serve.handlers import Watch
from chronicle_operator.serve.settings import Settings
from support.memory_kube import Call
from support.operator_world import KEY, World

ROLE = next(it for it in kinds.CHILDREN if it.kind == "Role")
EXPERIMENT = Kind("chaos-mesh.org", "v1alpha1", "PodChaos", "podchaos")


def granted(rules: list[rbac.Rule]) -> set[Call]:
    return {
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def watches(settings: Settings) -> set[Call]:
    """Return what Kopf asks for: a list and a watch for every kind that has a handler."""
    registry = kopf.OperatorRegistry()

    async def nothing(key: object) -> None:
        del key

    watch = Watch(WorkQueue(nothing, clock=lambda: 0.0), lambda _: None)
    handlers.register(registry, watch, handlers.watched(settings))
    selectors = [it.selector for it in registry._watching.get_all_handlers() if it.selector]
    assert len(selectors) == 2 + len(handlers.watched(settings)), "ledgers and backups"
    for other in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not list(other.get_all_handlers()), "such handlers make Kopf write"
    return {(verb, str(it.group or ""), str(it.any_name)) for it in selectors for verb in ("list", "watch")}


async def a_day(world: World) -> None:
    """New, in use, another image, more nodes and fewer, asleep and awake, paused."""
    await world.settle()
    world.edit(cockroachdb={"image": "cockroach:next", "replicas": 5})
    await world.settle(40)
    world.edit(cockroachdb={"image": "cockroach:next"})
    await world.settle(40)
    assert len([it for it in world.kube.of(kinds.POD) if "cockroachdb" in it["metadata"]["name"]]) == 3
    for state in ("Hibernated", "Active", "Paused"):
        world.edit(reconciliation=state)
        await world.settle()


async def broken_things(world: World) -> None:
    """Children that an older operator applied, Jobs that gave up, a Secret without its labels."""
    await world.settle()
    for item in list(world.kube.objects.values()):
        if item["kind"] in {it.kind for it in kinds.CHILDREN}:
            old = deepcopy(item)
            old["metadata"]["name"] += "-of-old"
            del old["metadata"]["uid"]
            world.kube.put(kinds.of(old), old)
    for job in world.kube.of(kinds.JOB):
        job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    world.kube.find(kinds.SECRET, "main-ca")["metadata"]["labels"] = {}
    for _ in range(3):
        with pytest.raises(errors.Conflict):
            await world.reconcile()
        world.run_controllers()
        await world.settle()
        for job in [it for it in world.kube.of(kinds.JOB) if "-seal-" not in it["metadata"]["name"]][:1]:
            job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}


async def runs(world: World) -> None:
    """Two runs of the failure scenarios, the first of which left an experiment behind."""
    await world.settle()
    for number in range(2):
        labels = {"ledger.chronicle.dev/ledger": "main", "ledger.chronicle.dev/run": "dead"}
        meta = {"name": "left", "namespace": "ns", "labels": labels}
        world.kube.put(EXPERIMENT, {"apiVersion": EXPERIMENT.api_version, "kind": "PodChaos", "metadata": meta})
        world.edit(resilience={"runID": f"run-{number}", "keepReports": 1})
        await world.settle()
        world.now += timedelta(minutes=10)
        await world.settle()
    assert world.ledger["status"]["run"]["state"] == "Finished"


async def backups(world: World) -> None:
    """Backups by the clock, of which the first one is pruned; and a new ledger that begins with one of them."""
    world.edit(
        backup={"destination": {"claim": {"claimName": "c"}}, "schedule": "0 * * * *", "retention": {"count": 1}}
    )
    await world.settle(12)
    world.answers["prune"] = (0, json.dumps({"deleted": [it["id"] for it in world.backups]}))
    world.now += timedelta(hours=1)
    await world.settle(12)
    assert len(world.backups) == 2
    (last,) = world.kube.of(kinds.BACKUP)
    fresh = World(bootstrap={"restoreFrom": {"backup": last["metadata"]["name"]}})
    fresh.kube.put(kinds.BACKUP, last)
    fresh.backups = world.backups
    fresh.answers["restore"] = (3, "")
    await fresh.settle(12)
    del fresh.answers["restore"]
    fresh.now += timedelta(minutes=10)
    await fresh.settle(12)
    assert fresh.ledger["status"]["restore"]["state"] == "Restored"
    world.kube.calls |= fresh.kube.calls


EVERYTHING: dict[str, Any] = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}


async def recorded() -> set[Call]:
    """Return every call of these lives, and the rights that the operator hands on, which it must hold itself."""
    calls: set[Call] = set()
    for life in (a_day, broken_things, runs, backups):
        world = World(**EVERYTHING)
        await life(world)
        assert not (await resync.listed(world.kube, ("ns",))).failed
        calls |= world.kube.calls
        calls |= granted([rule for role in world.kube.of(ROLE) for rule in role["rules"]])
    return calls


async def test_the_rights_are_exactly_the_calls_that_are_made() -> None:
    needed = await recorded() | watches(Settings(namespaces=("ns",)))
    given = granted(rbac.namespace_rules())
    assert needed - given == set(), "calls that the packaged rules do not allow"
    assert given - needed == set(), "rights that nothing uses"


def test_with_every_namespace_served_secrets_and_config_maps_are_not_watched() -> None:
    asked = watches(Settings())
    assert {("watch", "", "secrets"), ("watch", "", "configmaps")}.isdisjoint(asked)
    assert asked <= granted(rbac.cluster_rules())


async def test_what_is_granted_in_every_namespace_is_what_is_needed_there_and_makes_nothing() -> None:
    """Ledgers are found and told that a RoleBinding is missing; everything else wants that RoleBinding."""
    world = World()
    world.kube.trouble = lambda verb, kind, _: (
        errors.Forbidden(f"{verb} {kind.kind}", "no right")
        if (verb.partition("/")[0], kind.group, kind.plural + verb.partition("/")[1] + verb.partition("/")[2])
        not in granted(rbac.cluster_rules())
        else None
    )
    assert (await resync.listed(world.kube, ())).ledgers == {KEY}
    with pytest.raises(errors.Forbidden):
        await world.reconcile()
    found = world.condition("Ready")
    assert found["reason"] == "Forbidden"
    assert "Grant the operator's ServiceAccount this right" in found["message"]
    given = granted(rbac.cluster_rules())
    writes = {(group, resource) for verb, group, resource in given if verb not in ("get", "list", "watch")}
    assert writes == {(kinds.GROUP, "chronicleledgers/status"), ("events.k8s.io", "events")}
    reads = {("get", kinds.GROUP, "chronicleledgers")}
    assert given == watches(Settings()) | reads | {
        ("patch", kinds.GROUP, "chronicleledgers/status"),
        ("create", "events.k8s.io", "events"),
    }
