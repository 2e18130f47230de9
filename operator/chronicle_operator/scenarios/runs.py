"""Runs as the operator sees them: one at a time, started once, followed, swept up after.

    due ──▶ Starting ──▶ Running ──▶ Cleaning ──▶ Finished
                │ no pod within 3 min    ▲ until Chaos Mesh has let go of everything, or for a minute
                └────────────────────────┘

Everything to go on from is in the cluster: the status says which run, the Job whether it lives, the ConfigMap what it
found. The operator may die between any two lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chronicle_kube.api import Kube
from chronicle_kube.kind import Kind
from chronicle_operator.crd.spec import Reconciliation
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.ownership import is_own, taken
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import LedgerContext, names
from chronicle_operator.scenarios import job as jobs
from chronicle_operator.scenarios import running, verdicts
from chronicle_operator.scenarios.data_plane import data_plane
from chronicle_operator.scenarios.sweep import PATIENCE_SECONDS, release_command, sweep
from chronicle_operator.scenarios.triggers import Due, Plan, after_slot, plan
from chronicle_operator.status.conditions import Condition, timestamp

log = logging.getLogger(__name__)

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
FOLLOW_SECONDS = 2.0
GOING = ("Starting", "Running", "Cleaning")


@dataclass(frozen=True)
class _Case:
    """One call's inputs."""

    seen: Observation
    ledger: LedgerContext
    status: Mapping[str, Any]
    data_plane: str
    now: datetime
    ready: bool

    @property
    def run(self) -> dict[str, Any]:
        """Return the latest run as the status has it, without what was said of it at the time."""
        return {key: value for key, value in (self.status.get("run") or {}).items() if key != "message"}

    @property
    def entries(self) -> list[verdicts.Entry]:
        """Return the latest run's scenarios as the status has them."""
        return [dict(it) for it in self.status.get("scenarios") or ()]

    def since(self, moment: str) -> float:
        """Return the seconds since a time of the status."""
        return (self.now - datetime.fromisoformat(moment)).total_seconds()

    def hindrance(self) -> tuple[str, str] | None:
        """Return what a run has to wait for: a CamelCase word, and the rest of a sentence. None for nothing."""
        reconciliation = self.ledger.spec.reconciliation
        if reconciliation is not Reconciliation.ACTIVE:
            return reconciliation.value, f"until spec.reconciliation is Active (it is {reconciliation.value})"
        return None if self.ready else ("WaitingForReady", "until the ledger is Ready and nothing is in progress")


class Scenarios:
    """The extension of reconcile that runs failure scenarios."""

    def __init__(self, kube: Kube, clock: Callable[[], datetime]) -> None:
        """Use the API server; `clock` gives UTC."""
        self._kube = kube
        self._clock = clock

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """See `extension.Extension`. Also while the ledger is paused: what a run has begun is brought to its end."""
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        status = seen.ledger.get("status") or {}
        case = _Case(seen, ledger, status, data_plane(ledger), self._clock(), ready)
        todo = plan(wanted.spec, status, case.data_plane, case.now)
        if case.run.get("state") in GOING:
            return await self._follow(case, todo)
        if todo.due is not None and (hindrance := case.hindrance()):
            return self._waiting(
                case, todo, Condition(verdicts.KIND, "Unknown", hindrance[0], f"{todo.due.words} waits {hindrance[1]}")
            )
        if todo.due is not None:
            return await self._start(case, todo.due)
        return self._idle(case, todo)

    def _idle(self, case: _Case, todo: Plan) -> Addition:
        found = verdicts.condition(case.entries, current=case.run.get("dataPlane") == case.data_plane)
        if todo.problem:
            found = Condition(verdicts.KIND, "Unknown", "InvalidSchedule", todo.problem)
        fields: dict[str, Any] = {"nextRunTime": todo.next_time, "run": case.run or None}
        if not case.entries:
            fields["scenarioSummary"] = "Not run"
        return Addition([found], fields, _until(todo.next_time, case.now))

    def _waiting(self, case: _Case, todo: Plan, why: Condition) -> Addition:
        fields: dict[str, Any] = {"nextRunTime": todo.next_time}
        if case.run:
            fields["run"] = {**case.run, "message": why.message}
        if not case.entries:
            fields["scenarioSummary"] = "Waiting"
        return Addition([why], fields)

    async def _start(self, case: _Case, due: Due) -> Addition:
        slot = self._slot(case)
        wanted = jobs.job(case.ledger, due.run_id, slot)
        old = case.seen.of("Job", jobs.COMPONENT)
        same = next((it for it in old if name(it) == name(wanted)), None)
        # A Job of this name that the status does not know was made by an operator that died before it could say so.
        again = same is not None and case.run.get("runID") == due.run_id
        stale = [it for it in old if it is not same or again]
        for it in stale:
            await self._kube.delete(kinds.JOB, case.seen.namespace, name(it), uid=it["metadata"]["uid"])
        if again:
            return Addition(pause=1.0)  # the same run was asked for once more: its Job has to be gone first
        if same is None:
            await sweep(self._kube, case.seen.namespace, case.ledger.name)
            await self._empty_report(case, slot, due.run_id)
            try:
                await self._kube.create(kinds.JOB, wanted)
            except errors.Conflict:
                return Addition(pause=1.0)
            log.info("%s/%s: started run %s (%s)", case.seen.namespace, case.ledger.name, due.run_id, due.trigger)
        run = {
            "runID": due.run_id,
            "trigger": str(due.trigger),
            "state": "Starting",
            "jobName": name(wanted),
            "startTime": timestamp(case.now),
            "requestedRunID": case.ledger.spec.resilience.run_id,
            "dataPlane": case.data_plane,
            "reportName": names.report(case.ledger.name, slot),
        }
        begun = verdicts.pending([it.name for it in case.ledger.spec.resilience.scenarios], due.run_id)
        return _addition(case, run, begun, next_time=after_slot(case.ledger.spec, case.now))

    async def _follow(self, case: _Case, todo: Plan) -> Addition:
        run = case.run
        said = [f"{todo.due.words} waits until run {run['runID']} has ended"] if todo.due else []
        if case.ledger.spec.reconciliation is Reconciliation.PAUSED:
            said.append("the ledger is paused; this run goes on to its end, and what it broke is mended")
        if run["state"] == "Cleaning":
            return await self._clean(case, run, case.entries, said)
        job = case.seen.find("Job", str(run.get("jobName")))
        work = running.look(job, str(run.get("jobName")), case.seen.pods, case.now)
        if not work.over and (work.at_work or case.since(str(run["startTime"])) <= running.START_SECONDS):
            run["state"] = "Running" if work.at_work else "Starting"
            entries = await self._reported(case, run)
            return _addition(case, run, entries, [it for it in (work.trouble, *said) if it])
        reason, why = "RunEnded", running.failure(job)
        if not work.over and job is not None:
            reason = "PodNotRunning"
            trouble = work.trouble or f"see kubectl describe job {name(job)}"
            why = f"the run's pod did not run within {running.START_SECONDS:.0f} s: {trouble}"
            await self._kube.delete(kinds.JOB, case.seen.namespace, name(job), uid=job["metadata"]["uid"])
        # The observation is older than the Job's end may be: the last report is read after it.
        entries = verdicts.aborted(await self._reported(case, run), why, reason)
        return await self._clean(case, run, verdicts.with_report(entries, str(run.get("reportName"))), said)

    async def _clean(
        self, case: _Case, run: dict[str, Any], entries: list[verdicts.Entry], said: list[str]
    ) -> Addition:
        """Sweep until nothing is left, or a person has to be told what is."""
        left = await sweep(self._kube, case.seen.namespace, case.ledger.name)
        run.setdefault("cleaningTime", timestamp(case.now))
        if left and case.since(run["cleaningTime"]) < PATIENCE_SECONDS:
            run["state"] = "Cleaning"
            waiting = f"waits until Chaos Mesh has let go of {', '.join(name(it) for it in left)}"
            return _addition(case, run, entries, [waiting, *said])
        entries = verdicts.cleaned(entries, [release_command(it) for it in left])
        run |= {"state": "Finished", "completionTime": timestamp(case.now)}
        log.info("%s/%s: run %s: %s", case.seen.namespace, case.ledger.name, run["runID"], verdicts.summary(entries))
        return _addition(case, run, entries, said)

    async def _reported(self, case: _Case, run: Mapping[str, Any]) -> list[verdicts.Entry]:
        """Return what the run has reported so far, as it is now; what the status has where that is nothing."""
        report = await self._kube.get(CONFIG_MAP, case.seen.namespace, str(run.get("reportName")))
        return verdicts.of_report(report, str(run["runID"])) or case.entries

    def _slot(self, case: _Case) -> int:
        last = str(case.run.get("reportName") or "").rpartition("-")[2]
        return (int(last) + 1) % case.ledger.spec.resilience.keep_reports if last.isdecimal() else 0

    async def _empty_report(self, case: _Case, slot: int, run_id: str) -> None:
        wanted = jobs.report_map(case.ledger, slot, run_id)
        old = await self._kube.get(CONFIG_MAP, case.seen.namespace, name(wanted))
        if old is not None:
            if not is_own(old, case.ledger.name, case.ledger.uid):
                raise taken(old, case.ledger.name)
            await self._kube.delete(CONFIG_MAP, case.seen.namespace, name(wanted), uid=old["metadata"]["uid"])
        await self._kube.create(CONFIG_MAP, wanted)


def _addition(
    case: _Case,
    run: Mapping[str, Any],
    entries: list[verdicts.Entry],
    said: list[str] | None = None,
    next_time: str | None = None,
) -> Addition:
    message = "; ".join(said or ())
    found = verdicts.condition(entries, current=run.get("dataPlane") == case.data_plane)
    if run["state"] == "Cleaning":
        found = Condition(verdicts.KIND, "Unknown", "Cleaning", verdicts.summary(entries))
    if message:
        found = Condition(found.type, found.status, found.reason, f"{found.message}; {message}")
    fields: dict[str, Any] = {
        "run": {key: value for key, value in {**run, "message": message or None}.items() if value is not None},
        "scenarios": entries,
        "scenarioSummary": verdicts.summary(entries),
    }
    if next_time is not None:
        fields["nextRunTime"] = next_time
    return Addition([found], fields, FOLLOW_SECONDS)


def _until(moment: str | None, now: datetime) -> float | None:
    return max(1.0, (datetime.fromisoformat(moment) - now).total_seconds()) if moment else None
