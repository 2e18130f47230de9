"""The operator's rights are the calls that it makes, recorded from whole lives of ledgers, no fewer and no more."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import kopf
import pytest

from chronicle_operator import errors, handlers, kinds, rbac, resync
from chronicle_operator.handlers import Watch
from chronicle_operator.settings import Settings
from chronicle_operator.workqueue import WorkQueue
from support.memory_kube import Call
from support.operator_world import World

ROLE = next(it for it in kinds.CHILDREN if it.kind == "Role")
EXPERIMENT = kinds.Kind("chaos-mesh.org", "v1alpha1", "PodChaos", "podchaos")


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
    assert len(selectors) == 1 + len(handlers.watched(settings))
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
        for job in world.kube.of(kinds.JOB)[:1]:
            job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}


async def runs(world: World) -> None:
    """Two runs of the failure scenarios, the first of which left an experiment behind."""
    await world.settle()
    for number in range(2):
        meta = {"name": "left", "namespace": "ns", "labels": {"ledger.chronicle.dev/ledger": "main"}}
        world.kube.put(EXPERIMENT, {"apiVersion": EXPERIMENT.api_version, "kind": "PodChaos", "metadata": meta})
        world.edit(resilience={"runID": f"run-{number}", "keepReports": 1})
        await world.settle()
        world.now += timedelta(minutes=10)
        await world.settle()
    assert world.ledger["status"]["run"]["state"] == "Finished"


EVERYTHING: dict[str, Any] = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}


async def recorded() -> set[Call]:
    """Return every call of these lives, and the rights that the operator hands on, which it must hold itself."""
    calls: set[Call] = set()
    for life in (a_day, broken_things, runs):
        world = World(**EVERYTHING)
        await life(world)
        await resync.listed(world.kube, ("ns",))
        calls |= world.kube.calls
        calls |= granted([rule for role in world.kube.of(ROLE) for rule in role["rules"]])
    return calls


async def test_the_rights_are_exactly_the_calls_that_are_made() -> None:
    needed = await recorded() | watches(Settings(namespaces=("ns",)))
    given = granted([*rbac.rules(), *rbac.secret_rules()])
    assert needed - given == set(), "calls that the packaged rules do not allow"
    assert given - needed == set(), "rights that nothing uses"


def test_with_every_namespace_served_secrets_are_not_watched() -> None:
    assert ("watch", "", "secrets") not in watches(Settings())
    assert watches(Settings()) <= granted(rbac.rules())
