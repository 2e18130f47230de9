"""What keeps a ledger from being ready is in its conditions: Kubernetes' own words, and a crash's last ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import cause, last_words
from chronicle_operator.packaging.packaging import files
from chronicle_operator.resources import build
from chronicle_operator.scenarios import job
from chronicle_operator.status.causes import LIMIT, with_causes
from chronicle_operator.status.conditions import MESSAGE_LIMIT, shorten
from support.ledger_specs import context
from support.memory_kube import Object
from support.operator_world import World

REGISTRY = (
    'Back-off pulling image "registry/cockroach:v9": ErrImagePull: failed to pull and unpack image'
    ' "registry/cockroach:v9": failed to resolve reference: not found'
)


def pod(name: str, component: str = "cockroachdb", **state: Any) -> Object:
    """A pod that is not ready, with one container in this state."""
    container = {"name": "main", "ready": False, **state}
    meta = {"name": name, "uid": name, "labels": {"app.kubernetes.io/component": component}}
    return {"kind": "Pod", "metadata": meta, "status": {"containerStatuses": [container]}}


def waiting(name: str, reason: str = "ImagePullBackOff", message: str = REGISTRY, **more: Any) -> Object:
    return pod(name, state={"waiting": {"reason": reason, "message": message}}, **more)


def ended(message: str, code: int = 2, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message, **more}}


def told(*pods: Object) -> str:
    ledger = {"metadata": {"name": "main", "namespace": "ns", "uid": "L"}}
    return with_causes("0 of 3 nodes are ready", Observation(ledger, pods=pods), ("cockroachdb",))


def test_one_cause_is_one_sentence_with_the_number_of_its_pods() -> None:
    said = told(*(waiting(f"main-cockroachdb-{number}") for number in range(3)))
    assert said == f"0 of 3 nodes are ready: 3 of 3 pods: ImagePullBackOff, {REGISTRY}"


def test_the_first_cause_comes_first_and_a_single_pod_is_named() -> None:
    first = waiting("a", "CreateContainerConfigError", 'secret "x" not found')
    said = told(first, waiting("b", "ErrImagePull", "no"), waiting("c", "ErrImagePull", "no"))
    assert said.endswith('ready: a: CreateContainerConfigError, secret "x" not found; 2 of 3 pods: ErrImagePull, no')


def test_the_pods_own_name_in_the_words_makes_no_other_cause() -> None:
    pods = [waiting(name, "CreateContainerError", f"name of {name} is taken") for name in ("a-0", "a-1")]
    assert told(*pods).endswith("2 of 2 pods: CreateContainerError, name of a-0 is taken")


def test_a_long_message_ends_after_a_word() -> None:
    words = "registry answers slowly " * 60
    said = told(*(waiting(f"p{number}", message=words) for number in range(3)))
    assert len(said) <= LIMIT == 300
    assert said.startswith("0 of 3 nodes are ready: 3 of 3 pods: ImagePullBackOff, registry")
    assert said.removesuffix("…").split()[-1] in ("registry", "answers", "slowly")
    assert said.endswith("…")


@pytest.mark.parametrize("text", ["y" * 5000, "word " * 1000, "a " + "y" * 5000])
def test_no_message_is_longer_than_its_limit(text: str) -> None:
    assert 500 < len(shorten(text)) <= MESSAGE_LIMIT
    assert shorten(text).endswith("…")
    assert shorten("short") == "short"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("starting\nSTATEMENT_TIMEOUT: must be below the deadline\n", "STATEMENT_TIMEOUT: must be below the deadline"),
        ("a\nERROR: could not open store\nFailed running\n\n", "ERROR: could not open store"),
        ('{"event": "ended", "level": "error", "error": "no such host"}', "ended: no such host"),
        ('{"level": "error"}', '{"level": "error"}'),
        ('["error"]', '["error"]'),
        ("\n\n", ""),
    ],
)
def test_the_last_words_are_the_line_that_says_most(log: str, words: str) -> None:
    assert last_words(log) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed …"}},
             "lastState": ended("settings: bad deadline")},
            "CrashLoopBackOff, exit 2: settings: bad deadline",
        ),
        ({"state": {"running": {}}, "lastState": ended("bad"), "restartCount": 3}, "restarted 3 times, exit 2: bad"),
        ({"state": ended("bad", 1)}, "exit 1: bad"),
        ({"state": {"running": {}}, "lastState": ended("", 137, reason="OOMKilled"), "restartCount": 1},
         "restarted once, exit 137 (OOMKilled)"),
        ({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}, "CrashLoopBackOff, back-off"),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, None),
        ({"state": {"running": {}}}, None),
        ({"state": {"running": {}}, "ready": True, "lastState": ended("bad"), "restartCount": 3}, None),
        ({"state": ended("done", 0)}, None),
    ],
)  # fmt: skip
def test_a_crashed_process_has_its_last_words_in_the_cause(state: dict[str, Any], words: str | None) -> None:
    assert cause(pod("p", **state)) == words


def containers(template: Mapping[str, Any]) -> list[Object]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def test_every_container_keeps_the_end_of_its_log_where_the_operator_finds_it() -> None:
    ledger = context()
    made = [
        it["spec"]["template"] for it in [*build(ledger), job.job(ledger, "r", 0)] if "template" in it.get("spec", {})
    ]
    found = [container for template in made for container in containers(template)]
    assert len(found) >= 8
    assert {it["name"] for it in found if it.get("terminationMessagePolicy") != "FallbackToLogsOnError"} == set()
    assert "terminationMessagePolicy: FallbackToLogsOnError" in files()["manifests/operator.yaml"]


# ---- of the whole operator -------------------------------------------------------------------------------------------

QUOTA = "must specify limits.cpu for: cockroachdb"


def event(regarding: Object, reason: str, note: str, time: str = "2026-03-01T12:00:05.000000Z") -> Object:
    """An Event about an object, as the API server hands it out."""
    meta = {"name": f"{regarding['metadata']['name']}.{reason}.{time[17:19]}", "namespace": "ns"}
    about = {"kind": regarding["kind"], "name": regarding["metadata"]["name"], "uid": regarding["metadata"]["uid"]}
    more = {"reason": reason, "note": note, "regarding": about, "eventTime": time}
    return {"apiVersion": kinds.EVENT.api_version, "kind": "Event", "metadata": meta, **more}


def recorded(regarding: Object, note: str, time: str, count: int = 1) -> Object:
    """One as the controllers of Kubernetes write it (to the core API), seen through events.k8s.io: no time of its own,
    and the last of `count` times in a deprecated field."""
    old = {
        "deprecatedLastTimestamp": time,
        "deprecatedFirstTimestamp": "2026-03-01T11:59:00Z",
        "deprecatedCount": count,
    }
    controller = {"deprecatedSource": {"component": "statefulset-controller"}, "reportingController": ""}
    return {**event(regarding, "FailedCreate", note, time), "eventTime": None, "type": "Warning", **old, **controller}


async def without_pods(kind: Kind, name: str) -> tuple[World, Object]:
    """A new ledger of which this workload has no pods."""
    world = World()
    await world.reconcile()
    return world, world.kube.find(kind, name)


async def test_a_statefulset_whose_pods_are_refused_says_why() -> None:
    world, nodes = await without_pods(kinds.STATEFUL_SET, "main-cockroachdb")
    world.kube.put(kinds.EVENT, event(nodes, "FailedCreate", "an earlier word", "2026-03-01T12:00:01.000000Z"))
    world.kube.put(kinds.EVENT, event(nodes, "FailedCreate", f"pods is forbidden: {QUOTA}"))
    world.kube.put(
        kinds.EVENT, event({**nodes, "metadata": {"name": "x", "uid": "other"}}, "FailedCreate", "another's")
    )
    await world.reconcile()
    said = world.condition("CockroachReady")["message"]
    assert said == f"0 of 3 database nodes are ready: StatefulSet main-cockroachdb: pods is forbidden: {QUOTA}"
    assert QUOTA in world.condition("Ready")["message"]


async def test_the_words_of_the_statefulset_controller_are_told_as_they_are_once_for_each_set() -> None:
    world, nodes = await without_pods(kinds.STATEFUL_SET, "main-cockroachdb")
    words = 'create Pod main-cockroachdb-0 in StatefulSet main-cockroachdb failed error: pods "main-cockroachdb-0" is'
    world.kube.put(kinds.EVENT, recorded(nodes, f"{words} forbidden: {QUOTA}", "2026-03-01T12:00:05Z", 12))
    world.kube.put(kinds.EVENT, recorded(nodes, f"{words} invalid", "2026-03-01T12:00:04Z"))
    await world.reconcile()
    said = world.condition("CockroachReady")["message"]
    assert said == f"0 of 3 database nodes are ready: StatefulSet main-cockroachdb: {words} forbidden: {QUOTA}"


async def test_a_job_whose_pod_is_refused_says_why() -> None:
    world = World()
    await world.reconcile()
    (init,) = [it for it in world.kube.of(kinds.JOB) if "init" in it["metadata"]["name"]]
    world.kube.put(kinds.EVENT, event(init, "FailedCreate", 'violates PodSecurity "restricted:latest"'))
    await world.reconcile()
    assert 'violates PodSecurity "restricted:latest"' in world.condition("ApiReady")["message"]


async def test_a_deployment_whose_pods_are_refused_says_so_itself() -> None:
    world = World()
    await world.settle()
    relay = world.kube.find(kinds.DEPLOYMENT, "main-relay")
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}
    relay["status"] |= {"availableReplicas": 0, "conditions": [failure]}
    await world.reconcile()
    assert "Deployment main-relay: exceeded quota: q" in world.condition("ApiReady")["message"]


async def test_a_storage_class_that_is_not_there_is_named() -> None:
    world = World()
    await world.settle()
    note = 'storageclass.storage.k8s.io "nowhere" not found'
    for claim in world.kube.of(kinds.VOLUME_CLAIM):
        if "cockroachdb" in claim["metadata"]["name"]:
            claim["status"] = {"phase": "Pending"}
            world.kube.put(kinds.EVENT, event(claim, "ProvisioningFailed", note))
    for item in world.kube.of(kinds.POD):
        if "cockroachdb" in item["metadata"]["name"]:
            unbound = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "unbound claims",
            }
            item["status"] = {"conditions": [unbound]}
    world.kube.find(kinds.STATEFUL_SET, "main-cockroachdb")["status"]["readyReplicas"] = 0
    await world.reconcile()
    said = world.condition("CockroachReady")["message"]
    assert f"3 of 3 volume claims: {note}; 3 of 3 pods: Unschedulable, unbound claims" in said


async def test_a_refusal_that_has_passed_is_not_told_again() -> None:
    world = World()
    await world.settle()
    nodes = world.kube.find(kinds.STATEFUL_SET, "main-cockroachdb")
    world.kube.put(kinds.EVENT, event(nodes, "FailedCreate", QUOTA))
    for item in world.kube.of(kinds.POD):
        item["metadata"]["creationTimestamp"] = "2026-03-01T12:00:06Z"
    del world.kube.objects["", "Pod", "ns", "main-cockroachdb-2"]
    nodes["status"]["readyReplicas"] = 2
    await world.reconcile()
    assert world.condition("CockroachReady")["message"] == "2 of 3 database nodes are ready"


async def test_a_ledger_that_lacks_nothing_asks_for_no_events() -> None:
    world = World()
    await world.settle()
    world.kube.calls.clear()
    await world.reconcile()
    assert ("list", "events.k8s.io", "events") not in world.kube.calls


async def test_an_operator_that_may_not_read_events_goes_on_without_them() -> None:
    world = World()

    def refuse(verb: str, kind: Kind, name: str) -> errors.KubeError | None:
        del name
        return errors.Forbidden("list Event", "no") if (verb, kind) == ("list", kinds.EVENT) else None

    world.kube.trouble = refuse
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


async def unfinished_migration(world: World) -> Object:
    """A ledger in use, of which a Job of the migration has just been made (another licence, or deleted by hand)."""
    await world.settle()
    (migration,) = [it for it in world.kube.of(kinds.JOB) if "migration" in it["metadata"]["name"]]
    migration["status"] = {}
    return migration


async def test_a_migration_that_crashes_shows_beside_a_ledger_that_serves() -> None:
    world = World()
    migration = await unfinished_migration(world)
    crashed = waiting("main-migration-x", "CrashLoopBackOff", "back-off", component="migration")
    crashed["status"]["containerStatuses"][0]["lastState"] = ended("ERROR: unknown setting enterprise.license", 1)
    labels = {**migration["spec"]["template"]["metadata"]["labels"]}
    world.kube.put(
        kinds.POD, {**crashed, "metadata": {"name": "main-migration-x", "namespace": "ns", "labels": labels}}
    )
    await world.reconcile()
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SchemaPending")
    assert "CrashLoopBackOff, exit 1: ERROR: unknown setting enterprise.license" in ready["message"]


async def test_a_migration_that_is_at_work_is_progress_and_takes_nothing_from_a_ready_ledger() -> None:
    world = World()
    await unfinished_migration(world)
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    assert (world.condition("Progressing")["status"], world.condition("Progressing")["reason"]) == ("True", "Migrating")
    await world.settle(2)
    assert world.condition("Progressing")["reason"] == "UpToDate"
