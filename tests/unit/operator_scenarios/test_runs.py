"""Runs are started once, followed, and swept up after, wherever the operator died."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import build
from chronicle_operator.scenarios.runs import Scenarios
from chronicle_operator.status.conditions import Condition
from chronicle_operator.status.status_model import LedgerStatus
from support.ledger_specs import context
from support.memory_kube import MemoryKube

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Object = dict[str, Any]


class Namespace(MemoryKube):
    """A cluster that counts what is made in it, and may keep what is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[str] = []
        self.stuck: set[str] = set()
        """Kinds whose objects do not go when they are deleted, as something with a finalizer."""

    async def create(self, kind: Kind, manifest: Object) -> Object:
        made = await super().create(kind, manifest)
        self.created.append(kind.kind)
        return made

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        if kind.kind in self.stuck:
            self.find(kind, name, namespace)["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        else:
            await super().delete(kind, namespace, name, uid=uid)


CUT = Kind("chaos-mesh.org", "v1alpha1", "NetworkChaos", "networkchaos")


class World:
    """A ledger, its namespace and its status, which is what survives an operator."""

    def __init__(self, **resilience: Any) -> None:
        self.kube = Namespace()
        self.status: Object = {}
        self.now = NOW
        self.pods: list[Object] = []
        self.resilience = resilience
        self.ledger = context({"resilience": resilience})

    def edit(self, **spec: Any) -> None:
        """Change the spec; `resilience` is merged."""
        self.resilience |= spec.pop("resilience", {})
        self.ledger = context({"resilience": self.resilience, **spec})

    async def step(self, *, ready: bool = True, forget: bool = False) -> Addition:
        """Reconcile once; `forget`: the operator dies before it writes the status."""
        meta = {"name": self.ledger.name, "namespace": self.ledger.namespace, "uid": self.ledger.uid}
        children = tuple(deepcopy(list(self.kube.objects.values())))
        seen = Observation({"metadata": meta, "status": self.status}, children, tuple(self.pods))
        wanted = Desired(self.ledger.spec, build(self.ledger), [], Condition("C", "True", "R", "m"), "http://x", None)
        added = await Scenarios(self.kube, lambda: self.now)(seen, wanted, ready=ready)
        if not forget:
            self.status = {key: it for key, it in {**self.status, **added.fields}.items() if it is not None}
            LedgerStatus.model_validate(self.status)
        return added

    async def condition(self, **how: Any) -> tuple[str, str, str]:
        """Reconcile once; what `ResilienceVerified` says."""
        (found,) = (await self.step(**how)).conditions
        return found.status, found.reason, found.message

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def pod(self, phase: str = "Running", **metadata: Any) -> Object:
        """Let the run's pod be there, in this phase and no other."""
        meta = {"name": "runner", "labels": {"job-name": self.status["run"]["jobName"]}, **metadata}
        self.pods = [{"kind": "Pod", "metadata": meta, "status": {"phase": phase}}]
        return self.pods[0]

    def experiment(self, name: str = "cut", **more: str) -> None:
        """Let the run have cut the network, or, without a run's label, somebody else."""
        labels = {"ledger.chronicle.dev/ledger": "books", **(more or {"ledger.chronicle.dev/run": "one"})}
        cut = {"kind": "NetworkChaos", "metadata": {"name": name, "namespace": "finance", "labels": labels}}
        self.kube.put(CUT, cut)

    def is_cut(self, name: str = "cut") -> bool:
        """Whether that experiment is there."""
        return any(item["metadata"]["name"] == name for item in self.kube.of(CUT))

    @property
    def jobs(self) -> list[Object]:
        """The Jobs that are there."""
        return self.kube.of(kinds.JOB)

    def end(self, condition: str = "Complete") -> None:
        """Let the run's Job end."""
        self.jobs[0]["status"] = {"conditions": [{"type": condition, "status": "True"}]}
        self.pods = []

    def report(self, *verdicts: str) -> None:
        """Let the run say what it found."""
        run = self.status["run"]
        names = [it.name for it in self.ledger.spec.resilience.scenarios]
        entries: list[Object] = [{"name": name, "verdict": it} for name, it in zip(names, verdicts, strict=False)]
        for entry in entries:
            if entry["verdict"] != "Pending":
                entry["startTime"] = "2026-03-01T12:00:00Z"
            if entry["verdict"] not in ("Pending", "Running"):
                entry["cleanup"] = "Clean"
        held = self.kube.find(kinds.CONFIG_MAP, run["reportName"], "finance")
        held["data"] = {"progress.json": json.dumps({"run": run["runID"], "scenarios": entries})}


FIVE = ("Passed",) * 5


async def test_an_experiment_that_no_run_made_is_neither_swept_nor_waited_for() -> None:
    world = World(trigger="OnReady")
    world.experiment("theirs", team="other")
    await world.step()
    world.pod()
    await world.step()
    world.report(*FIVE)
    world.end()
    await world.step()
    assert world.status["run"]["state"] == "Finished"
    assert world.is_cut("theirs")


async def test_a_run_is_started_followed_and_its_verdicts_kept() -> None:
    world = World(trigger="OnReady")
    await world.step()
    assert world.status["run"]["state"] == "Starting"
    assert len(world.jobs) == 1
    world.pod()
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
    world.experiment()
    if how == "failed":
        world.end("Failed")
    else:
        await world.kube.delete(kinds.JOB, "finance", world.jobs[0]["metadata"]["name"])
    await world.step()
    assert world.status["run"]["state"] == "Cleaning"  # asked for is not done: it is looked at once more
    await world.step()
    assert world.status["run"]["state"] == "Finished"
    assert [it["verdict"] for it in world.status["scenarios"]] == ["Passed", "Aborted"]
    assert [it["cleanup"] for it in world.status["scenarios"]] == ["Clean", "Clean"]
    assert not world.is_cut()
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
    world.pod()
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
    world.kube.missing = {CUT.group}
    await world.step()
    world.end()
    await world.step()
    assert world.status["run"]["state"] == "Finished"


async def test_a_hibernated_ledger_runs_nothing() -> None:
    world = World(trigger="Manual", runID="one")
    world.edit(reconciliation="Hibernated")
    said = await world.condition(ready=True)
    assert said[:2] == ("Unknown", "Hibernated")
    assert "run one (Manual) waits until spec.reconciliation is Active" in said[2]
    assert world.jobs == []


async def test_what_chaos_mesh_does_not_let_go_of_is_named_with_the_command_and_never_verified() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report(*FIVE)
    world.experiment()
    world.kube.stuck = {"NetworkChaos"}
    world.end()
    for _ in range(6):
        status, reason, message = await world.condition()
        assert (status, reason, world.status["run"]["state"]) == ("Unknown", "Cleaning", "Cleaning")
        assert "waits until Chaos Mesh has let go of cut" in message
        world.later(10)
    status, reason, message = await world.condition()
    assert (status, reason, world.status["run"]["state"]) == ("False", "CleanupFailed", "Finished")
    assert "kubectl -n finance annotate networkchaos cut" in message
    assert "cleanFinalizer=forced" in world.status["scenarios"][-1]["cleanupMessage"]
    assert (await world.condition())[:2] == ("False", "CleanupFailed")


async def test_a_killed_run_never_says_that_there_was_nothing_to_clean_up() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report("Passed", "Running", "Pending")
    world.experiment()
    world.kube.stuck = {"NetworkChaos"}
    world.end("Failed")
    await world.step()
    assert "cleanup" not in world.status["scenarios"][1]
    world.later(61)
    await world.step()
    assert [it.get("cleanup") for it in world.status["scenarios"]] == ["Clean", "CleanupFailed", None]


async def test_an_operator_that_dies_while_it_sweeps_goes_on_sweeping() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report("Running")
    world.experiment()
    world.kube.stuck = {"NetworkChaos"}
    world.end("Failed")
    await world.step(forget=True)
    await world.step()
    assert world.status["run"]["state"] == "Cleaning"
    world.kube.stuck.clear()
    await world.kube.delete(CUT, "finance", "cut")
    await world.step()
    assert (world.status["run"]["state"], world.status["scenarios"][0]["cleanup"]) == ("Finished", "Clean")


async def test_the_last_report_is_read_after_the_job_has_ended() -> None:
    """The observation is from before: its ConfigMap may lack what the run wrote last."""
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report("Passed", "Running")
    world.end()
    stale = deepcopy(world.kube.objects)
    get = world.kube.get

    async def fresh(kind: Kind, namespace: str, name: str) -> Object | None:
        world.report("Passed", "Failed")
        return await get(kind, namespace, name)

    world.kube.objects = stale
    world.kube.get = fresh  # type: ignore[method-assign]
    await world.step()
    assert [it["verdict"] for it in world.status["scenarios"]] == ["Passed", "Failed"]


async def test_a_pod_that_does_not_run_is_shown_and_given_up_after_three_minutes() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    world.pod("Pending")["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]
    _, _, message = await world.condition()
    assert world.status["run"]["state"] == "Starting"
    assert world.status["run"]["message"] == "runner: ErrImagePull, no such image"
    assert "ErrImagePull" in message
    world.later(181)
    await world.step()
    assert world.jobs == []
    assert world.status["run"]["state"] == "Finished"
    assert {it["verdict"] for it in world.status["scenarios"]} == {"Aborted"}
    assert {it["reason"] for it in world.status["scenarios"]} == {"PodNotRunning"}
    assert "ErrImagePull" in world.status["scenarios"][0]["message"]


async def test_a_pod_that_runs_may_take_its_time() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.pod()
    world.later(3000)
    await world.step()
    assert (world.status["run"]["state"], len(world.jobs)) == ("Running", 1)


async def test_a_run_is_not_over_while_its_pod_still_heals_what_it_broke() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report("Running")
    world.experiment()
    world.end("Failed")
    world.pod("Running", deletionTimestamp="2026-03-01T12:03:00Z")
    await world.step()
    assert world.status["run"]["state"] == "Running"
    assert world.is_cut()
    world.later(211)  # its machine is gone, and nobody says that it has stopped
    await world.step()
    assert world.status["run"]["state"] == "Cleaning"


async def test_a_run_that_is_asked_for_during_another_is_said_waits_and_is_started_afterwards() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.pod()
    world.edit(resilience={"runID": "two"})
    _, _, message = await world.condition()
    assert "run two (Manual) waits until run one has ended" in message
    assert world.status["run"]["message"] == "run two (Manual) waits until run one has ended"
    assert world.kube.created.count("Job") == 1
    world.report(*FIVE)
    world.end()
    await world.step()
    assert (world.status["run"]["runID"], world.status["run"]["state"]) == ("one", "Finished")
    await world.step()
    assert (world.status["run"]["runID"], world.status["run"]["state"]) == ("two", "Starting")
    assert "message" not in world.status["run"]


async def test_a_change_of_the_data_plane_during_a_run_is_proven_by_the_next_one() -> None:
    world = World(trigger="OnReady")
    await world.step()
    world.pod()
    world.edit(api={"databasePoolSize": 20})
    assert "(OnReady) waits until run" in (await world.condition())[2]
    world.report(*FIVE)
    world.end()
    await world.step()
    await world.step()
    assert (world.status["run"]["state"], world.kube.created.count("Job")) == ("Starting", 2)


async def test_a_run_that_is_asked_for_while_the_ledger_is_paused_is_said_to_wait() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.report(*FIVE)
    world.end()
    await world.step()
    world.edit(reconciliation="Paused", resilience={"runID": "two"})
    said = await world.condition(ready=False)
    assert said == ("Unknown", "Paused", "run two (Manual) waits until spec.reconciliation is Active (it is Paused)")
    assert world.status["run"]["message"] == said[2]
    assert len(world.jobs) == 1
    world.edit(reconciliation="Active", resilience={"runID": "one"})  # asked for and taken back
    await world.step()
    assert "message" not in world.status["run"]
    assert world.kube.created.count("Job") == 1


async def test_a_run_goes_on_to_its_end_while_the_ledger_is_paused_and_what_it_left_is_swept() -> None:
    world = World(trigger="Manual", runID="one")
    await world.step()
    world.pod()
    world.edit(reconciliation="Paused")
    assert "this run goes on to its end" in (await world.condition(ready=False))[2]
    world.report("Running")
    world.experiment()
    world.end("Failed")
    await world.step(ready=False)
    await world.step(ready=False)
    assert (world.status["run"]["state"], world.status["scenarios"][0]["cleanup"]) == ("Finished", "Clean")
