"""The status of a whole reconcile: declared fields only, true of what was just asked for, and honest about failures."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.day2.decommission_job import decommission_job
from chronicle_operator.day2.operations import Agenda, Operation, agenda
from chronicle_operator.kube import errors
from chronicle_operator.observe.health import Health
from chronicle_operator.observe.nodes import Node, Nodes
from chronicle_operator.observe.observe import Observation
from chronicle_operator.reconcile.desired import Desired, InvalidSpec, desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import LedgerContext
from chronicle_operator.status import report
from chronicle_operator.status.status_model import LedgerStatus
from support.operator_objects import NOW

LEDGER: dict[str, Any] = {
    "apiVersion": "ledger.chronicle.dev/v1alpha1",
    "kind": "ChronicleLedger",
    "metadata": {"name": "main", "namespace": "ns", "uid": "L", "generation": 3},
    "spec": {},
}


def running(wanted: Desired) -> tuple[dict[str, Any], ...]:
    """Return the wanted objects as they are when all controllers have done their work."""
    children = [deepcopy(it) for it in wanted.manifests]
    for item in children:
        item["metadata"] |= {"uid": item["metadata"]["name"], "generation": 1}
        replicas = item.get("spec", {}).get("replicas", 1)
        item["status"] = {
            "observedGeneration": 1,
            "readyReplicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [{"type": "Complete", "status": "True"}],
        }
    return tuple(children)


def empty() -> Desired:
    return desired(Observation(LEDGER), NOW)


def told(seen: Observation, wanted: Desired, todo: Agenda | None = None, *failures: errors.KubeError) -> dict[str, Any]:
    said = report.status(seen, wanted, todo or Agenda(), failures, NOW)
    status = said.with_addition(Addition()).merged({}, 3, NOW)
    LedgerStatus.model_validate(status)
    return status


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(dict(it) for it in status["conditions"] if it["type"] == kind)


def test_a_running_ledger_is_ready_and_says_how_much_of_it_there_is() -> None:
    wanted = empty()
    nodes = Nodes({f"main-cockroachdb-{n}": Node(n, 0, 0, 40) for n in range(3)})
    status = told(Observation(LEDGER, running(wanted), health=Health("ok", version="1"), nodes=nodes), wanted)
    assert condition(status, "Ready")["status"] == "True"
    assert condition(status, "Progressing")["reason"] == "UpToDate"
    assert [status[it]["summary"] for it in ("cockroachdb", "nats", "api")] == ["3/3", "3/3", "3/3"]
    assert status["cockroachdb"]["nodesLive"] == 3
    assert status["observedGeneration"] == 3


def test_nothing_is_ready_of_which_the_controller_has_not_seen_the_latest_wish() -> None:
    wanted = empty()
    children = running(wanted)
    for item in children:
        if item["kind"] == "StatefulSet" and "nats" in item["metadata"]["name"]:
            item["metadata"]["generation"] = 2
    assert condition(told(Observation(LEDGER, children), wanted), "NatsReady")["status"] == "False"


def test_a_missing_pod_makes_the_component_and_the_whole_not_ready() -> None:
    wanted = empty()
    children = running(wanted)
    for item in children:
        if item["metadata"]["name"] == "main-cockroachdb" and item["kind"] == "StatefulSet":
            item["status"]["readyReplicas"] = 2
    status = told(Observation(LEDGER, children), wanted)
    assert condition(status, "CockroachReady")["message"] == "2 of 3 database nodes are ready"
    assert condition(status, "Ready")["reason"] == "PodsNotReady"


def test_ranges_without_a_quorum_are_not_ready_though_every_pod_is() -> None:
    wanted = empty()
    seen = Observation(LEDGER, running(wanted), nodes=Nodes({"a": Node(1, 4, 2, 40)}))
    assert condition(told(seen, wanted), "CockroachReady")["reason"] == "RangesUnavailable"


def test_a_new_image_that_waits_for_its_schema_is_not_ready() -> None:
    wanted = empty()
    children = running(wanted)
    for item in children:
        if item["kind"] == "Job":
            item["status"]["conditions"] = []
        if item["kind"] == "Deployment":
            item["spec"]["template"]["spec"]["containers"][0]["image"] = "an-older-one"
    assert condition(told(Observation(LEDGER, children), wanted), "ApiReady")["reason"] == "SchemaPending"


@pytest.mark.parametrize(
    ("kind", "ready", "progressing"),
    [
        (errors.Forbidden, "False", "False"),
        (errors.Invalid, "False", "False"),
        (errors.WebhookFailed, "Unknown", "False"),
        (errors.ServerError, "Unknown", "False"),
        (errors.Unreachable, "Unknown", "False"),
        (errors.Conflict, "True", "True"),
        (errors.Throttled, "True", "True"),
    ],
)
def test_what_the_api_server_said_is_the_reason_and_says_what_to_do(
    kind: type[errors.KubeError], ready: str, progressing: str
) -> None:
    wanted = empty()
    status = told(Observation(LEDGER, running(wanted)), wanted, None, kind("patch Service x", "no"))
    assert (condition(status, "Ready")["status"], condition(status, "Progressing")["status"]) == (ready, progressing)
    for name in ("Ready", "Progressing") if ready != "True" else ("Progressing",):
        assert condition(status, name)["reason"] == kind.reason
        assert "patch Service x: no" in condition(status, name)["message"]
        assert errors.advice(kind("", "")) in condition(status, name)["message"]


def test_of_several_failures_the_one_that_needs_a_person_is_told_first() -> None:
    wanted = empty()
    failures = [it("patch x", "no") for it in (errors.Conflict, errors.Unreachable, errors.Forbidden)]
    status = told(Observation(LEDGER, running(wanted)), wanted, None, *failures)
    assert condition(status, "Ready")["reason"] == "Forbidden"


def test_an_operation_is_progress_with_its_start() -> None:
    wanted = empty()
    todo = Agenda(operations=(Operation("cockroachdb", "Decommission", "moving replicas", "main-cockroachdb-4"),))
    status = told(Observation(LEDGER, running(wanted)), wanted, todo)
    assert condition(status, "Progressing")["reason"] == "Decommission"
    assert status["cockroachdb"]["operation"] == {
        "type": "Decommission",
        "pod": "main-cockroachdb-4",
        "message": "moving replicas",
        "startTime": "2026-03-01T12:00:00Z",
    }


def test_a_hibernated_ledger_is_asleep_and_nothing_is_decommissioned() -> None:
    asleep = {**LEDGER, "spec": {"reconciliation": "Hibernated"}}
    wanted = desired(Observation(asleep), NOW)
    awake = Observation(asleep, running(empty()))
    assert agenda(wanted.manifests, awake, NOW, hibernated=True) == Agenda()
    assert condition(told(awake, wanted), "Ready")["reason"] == "Hibernated"


def test_a_spec_that_cannot_be_built_is_said_in_its_own_words() -> None:
    bad = {**LEDGER, "spec": {"api": {"replicas": "many"}}}
    with pytest.raises(InvalidSpec, match=r"spec\.api\.replicas"):
        desired(Observation(bad), NOW)
    status = report.invalid("spec.api.replicas: no").merged({}, 3, NOW)
    LedgerStatus.model_validate(status)
    assert condition(status, "Ready")["reason"] == "InvalidSpec"


def test_the_job_of_a_decommissioning_names_the_node_and_fits_into_a_label() -> None:
    context = LedgerContext("l" * 24, "ns", "L", ChronicleLedgerSpec())
    job = decommission_job(context, f"{context.name}-cockroachdb-{'r' * 15}-4", 7)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:4] == ["node", "decommission", "7", "--wait=all"]
    assert len(job["metadata"]["name"]) <= 63
    assert job["metadata"]["ownerReferences"][0]["uid"] == "L"
