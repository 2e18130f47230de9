"""Runs are started once, followed, and swept up after, wherever the operator died."""

# ruff: noqa: ARG002 - the double has the signatures of `Kube`
from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from chronicle_operator import errors
from chronicle_operator.conditions import Condition
from chronicle_operator.desired import Desired
from chronicle_operator.extension import Addition
from chronicle_operator.kinds import Kind
from chronicle_operator.observe import Observation
from chronicle_operator.resources import build
from chronicle_operator.scenarios.runs import Scenarios
from support.ledger_specs import context

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Object = dict[str, Any]


class Namespace:
    """The objects of one namespace in memory: what runs need of `Kube`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.created: list[str] = []
        self.chaos_mesh = True

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.objects.get((kind.kind, name))

    async def list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None = None) -> list[Object]:
        if kind.group == "chaos-mesh.org" and not self.chaos_mesh:
            raise errors.NotFound("list", "no such kind")
        return [
            it
            for (found, _), it in self.objects.items()
            if found == kind.kind and (labels or {}).items() <= it["metadata"].get("labels", {}).items()
        ]

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        raise AssertionError("runs create and never apply")

    async def create(self, kind: Kind, manifest: Object) -> Object:
        key = (kind.kind, manifest["metadata"]["name"])
        if key in self.objects:
            raise errors.Conflict("create", "exists")
        self.created.append(kind.kind)
        self.objects[key] = {**manifest, "metadata": {**manifest["metadata"], "uid": f"uid-{len(self.created)}"}}
        return self.objects[key]

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        self.objects.pop((kind.kind, name), None)

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Object, version: str) -> Object:
        raise AssertionError("the reconcile writes the status")


class World:
    """A ledger, its namespace and its status, which is what survives an operator."""

    def __init__(self, **resilience: Any) -> None:
        self.kube = Namespace()
        self.status: Object = {}
        self.ledger = context({"resilience": resilience})

    async def step(self, *, ready: bool = True, forget: bool = False) -> Addition:
        """Reconcile once; `forget`: the operator dies before it writes the status."""
        meta = {"name": self.ledger.name, "namespace": self.ledger.namespace, "uid": self.ledger.uid}
        seen = Observation({"metadata": meta, "status": self.status}, tuple(self.kube.objects.values()))
        wanted = Desired(self.ledger.spec, build(self.ledger), [], Condition("C", "True", "R", "m"), "http://x", None)
        added = await Scenarios(self.kube, lambda: NOW)(seen, wanted, ready=ready)
        if not forget:
            self.status = {key: it for key, it in {**self.status, **added.fields}.items() if it is not None}
        return added

    @property
    def jobs(self) -> list[Object]:
        """The Jobs that are there."""
        return [it for (kind, _), it in self.kube.objects.items() if kind == "Job"]

    def end(self, condition: str = "Complete") -> None:
        """Let the run's Job end."""
        self.jobs[0]["status"] = {"conditions": [{"type": condition, "status": "True"}]}

    def report(self, *verdicts: str) -> None:
        """Let the run say what it found."""
        run = self.status["run"]
        names = [it.name for it in self.ledger.spec.resilience.scenarios]
        entries = [{"name": name, "verdict": it} for name, it in zip(names, verdicts, strict=False)]
        held = self.kube.objects["ConfigMap", run["reportName"]]
        held["data"] = {"progress.json": json.dumps({"run": run["runID"], "scenarios": entries})}


FIVE = ("Passed",) * 5


async def test_a_run_is_started_followed_and_its_verdicts_kept() -> None:
    world = World(trigger="OnReady")
    await world.step()
    assert world.status["run"]["state"] == "Starting"
    assert len(world.jobs) == 1
    await world.step()
    assert world.status["run"]["state"] == "Running"
    world.report(*FIVE)
    world.end()
    added = await world.step()
    assert world.status["run"]["state"] == "Finished"
    assert world.status["scenarioSummary"] == "5/5 Passed"
    assert world.status["scenarios"][0]["reportRef"] == {"kind": "ConfigMap", "name": "books-report-0"}
    assert (added.conditions[0].status, added.conditions[0].reason) == ("True", "AllPassed")
    await world.step()
    assert world.kube.created.count("Job") == 1


async def test_an_operator_that_died_before_it_wrote_the_status_does_not_start_the_run_twice() -> None:
    world = World(trigger="OnReady")
    await world.step(forget=True)
    await world.step(forget=True)
    await world.step()
    assert world.kube.created.count("Job") == 1
    assert world.status["run"]["state"] == "Starting"


async def test_a_run_that_ended_while_nobody_looked_is_read_and_not_repeated() -> None:
    world = World(trigger="OnReady")
    await world.step(forget=True)
    world.end()
    await world.step()
    world.report(*FIVE)
    await world.step()
    assert world.kube.created.count("Job") == 1
    assert world.status["scenarioSummary"] == "5/5 Passed"


@pytest.mark.parametrize("how", ["failed", "gone"])
async def test_a_run_that_dies_is_aborted_where_it_was_and_its_experiments_are_swept(how: str) -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report("Passed", "Running")
    labels = {"ledger.chronicle.dev/ledger": "books", "ledger.chronicle.dev/run": "one"}
    left = {"kind": "NetworkChaos", "metadata": {"name": "cut", "namespace": "finance", "labels": labels}}
    world.kube.objects["NetworkChaos", "cut"] = left
    if how == "failed":
        world.end("Failed")
    else:
        del world.kube.objects["Job", world.jobs[0]["metadata"]["name"]]
    await world.step()
    assert [it["verdict"] for it in world.status["scenarios"]] == ["Passed", "Aborted"]
    assert ("NetworkChaos", "cut") not in world.kube.objects
    assert world.status["scenarioSummary"] == "1/2 Passed"


async def test_nothing_starts_while_the_ledger_is_not_ready_and_the_status_says_so() -> None:
    world = World(trigger="Manual", runID="one")
    added = await world.step(ready=False)
    assert world.jobs == []
    assert added.conditions[0].reason == "WaitingForReady"
    await world.step()
    assert len(world.jobs) == 1


async def test_the_ledger_turning_unready_under_a_fault_does_not_end_the_run() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    await world.step(ready=False)
    assert world.status["run"]["state"] == "Running"
    assert len(world.jobs) == 1


async def test_reports_take_turns_in_their_slots() -> None:
    world = World(trigger="Manual", runID="r0", keepReports=2)
    used = []
    for number in range(3):
        world.ledger = context({"resilience": {"runID": f"r{number}", "keepReports": 2}})
        await world.step()
        used.append(world.status["run"]["reportName"])
        world.end()
        await world.step()
    assert used == ["books-report-0", "books-report-1", "books-report-0"]
    assert len(world.jobs) == 1


async def test_without_chaos_mesh_sweeping_is_no_error() -> None:
    world = World(trigger="Manual", runID="one")
    world.kube.chaos_mesh = False
    await world.step()
    world.end()
    await world.step()
    assert world.status["run"]["state"] == "Finished"


async def test_a_hibernated_ledger_runs_nothing() -> None:
    world = World(trigger="Manual", runID="one")
    world.ledger = context({"reconciliation": "Hibernated", "resilience": {"runID": "one"}})
    await world.step()
    assert world.jobs == []
