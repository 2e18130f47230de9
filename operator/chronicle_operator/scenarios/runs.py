"""Runs as the operator sees them: one at a time, started once, followed, swept up after.

Everything to go on from is in the cluster: the status says which run, the Job whether it lives, the ConfigMap what it
found. The operator may die between any two lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chronicle_operator import errors, kinds
from chronicle_operator.conditions import Condition, timestamp
from chronicle_operator.desired import Desired
from chronicle_operator.extension import Addition
from chronicle_operator.kinds import Kind
from chronicle_operator.kube import Kube, Manifest
from chronicle_operator.observe import COMPONENT, Observation, labels
from chronicle_operator.pods import name
from chronicle_operator.resources import LedgerContext, names
from chronicle_operator.scenarios import job as jobs
from chronicle_operator.scenarios import verdicts
from chronicle_operator.scenarios.triggers import Due, Plan, after_slot, plan
from chronicle_operator.stages import has_failed, is_complete

log = logging.getLogger(__name__)

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
EXPERIMENTS = (
    Kind("chaos-mesh.org", "v1alpha1", "PodChaos", "podchaos"),
    Kind("chaos-mesh.org", "v1alpha1", "NetworkChaos", "networkchaos"),
)
FOLLOW_SECONDS = 2.0
ACTIVE = ("Starting", "Running")


@dataclass(frozen=True)
class _Case:
    """One call's inputs."""

    seen: Observation
    ledger: LedgerContext
    status: Mapping[str, Any]
    data_plane: str
    now: datetime

    @property
    def run(self) -> dict[str, Any]:
        """Return the latest run as the status has it."""
        return dict(self.status.get("run") or {})


class Scenarios:
    """The extension of reconcile that runs failure scenarios."""

    def __init__(self, kube: Kube, clock: Callable[[], datetime]) -> None:
        """Use the API server; `clock` gives UTC."""
        self._kube = kube
        self._clock = clock

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """See `extension.Extension`."""
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        status = seen.ledger.get("status") or {}
        case = _Case(seen, ledger, status, data_plane(wanted), self._clock())
        if case.run.get("state") in ACTIVE:
            return await self._follow(case)
        todo = plan(wanted.spec, status, case.data_plane, case.now)
        if todo.due is not None and not wanted.hibernated:
            return await self._start(case, todo, todo.due, ready=ready)
        return self._idle(case, todo)

    def _idle(self, case: _Case, todo: Plan) -> Addition:
        entries = list(case.status.get("scenarios") or ())
        found = verdicts.condition(entries, current=case.run.get("dataPlane") == case.data_plane)
        if todo.problem:
            found = Condition(verdicts.KIND, "Unknown", "InvalidSchedule", todo.problem)
        fields: dict[str, Any] = {"nextRunTime": todo.next_time}
        if not entries:
            fields["scenarioSummary"] = "Not run"
        return Addition([found], fields, _until(todo.next_time, case.now))

    async def _start(self, case: _Case, todo: Plan, due: Due, *, ready: bool) -> Addition:
        entries = list(case.status.get("scenarios") or ())
        if not ready:
            message = f"run {due.run_id} ({due.trigger}) waits until the ledger is Ready and nothing is in progress"
            found = Condition(verdicts.KIND, "Unknown", "WaitingForReady", message)
            summary = None if entries else "Waiting"
            fields: dict[str, Any] = {"nextRunTime": todo.next_time}
            return Addition([found], fields | ({"scenarioSummary": summary} if summary else {}))
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
            await self._sweep(case)
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
        return self._addition(case, run, begun, after_slot(case.ledger.spec, case.now))

    async def _follow(self, case: _Case) -> Addition:
        run = case.run
        run_id = str(run["runID"])
        report = case.seen.find("ConfigMap", str(run.get("reportName")))
        entries = verdicts.of_report(report, run_id) or [dict(it) for it in case.status.get("scenarios") or ()]
        found = case.seen.find("Job", str(run.get("jobName")))
        if found is not None and not _ended(found):
            run["state"] = "Running"
            return self._addition(case, run, entries)
        why = "the run's Job is gone" if found is None else "the run's pod ended before this scenario was decided"
        entries = verdicts.with_report(verdicts.aborted(entries, why), str(run.get("reportName")))
        await self._sweep(case)
        run |= {"state": "Finished", "completionTime": timestamp(case.now)}
        log.info("%s/%s: run %s: %s", case.seen.namespace, case.ledger.name, run_id, verdicts.summary(entries))
        return self._addition(case, run, entries)

    def _addition(
        self, case: _Case, run: Mapping[str, Any], entries: list[verdicts.Entry], next_time: str | None = None
    ) -> Addition:
        found = verdicts.condition(entries, current=run.get("dataPlane") == case.data_plane)
        fields: dict[str, Any] = {
            "run": {key: value for key, value in run.items() if value is not None},
            "scenarios": entries,
            "scenarioSummary": verdicts.summary(entries),
        }
        if next_time is not None:
            fields["nextRunTime"] = next_time
        return Addition([found], fields, FOLLOW_SECONDS)

    def _slot(self, case: _Case) -> int:
        last = str(case.run.get("reportName") or "").rpartition("-")[2]
        return (int(last) + 1) % case.ledger.spec.resilience.keep_reports if last.isdecimal() else 0

    async def _empty_report(self, case: _Case, slot: int, run_id: str) -> None:
        wanted = jobs.report_map(case.ledger, slot, run_id)
        await self._kube.delete(CONFIG_MAP, case.seen.namespace, name(wanted))
        await self._kube.create(CONFIG_MAP, wanted)

    async def _sweep(self, case: _Case) -> None:
        """Delete every experiment on this ledger: no run is going, so none may be there."""
        for kind in EXPERIMENTS:
            try:
                left = await self._kube.list(kind, case.seen.namespace, {jobs.LEDGER: case.ledger.name})
            except errors.NotFound:
                continue  # Chaos Mesh is not installed
            for it in left:
                log.warning("%s/%s: sweeping %s %s", case.seen.namespace, case.ledger.name, kind.kind, name(it))
                await self._kube.delete(kind, case.seen.namespace, name(it))


def data_plane(wanted: Desired) -> str:
    """Return a hash of what a run judges: the workloads' images, replicas and settings."""
    parts = [
        it["spec"]
        for it in wanted.manifests
        if it["kind"] in ("StatefulSet", "Deployment") and labels(it).get(COMPONENT) != jobs.COMPONENT
    ]
    return names.digest(parts)


def _ended(job: Manifest) -> bool:
    return is_complete(job) or has_failed(job)


def _until(moment: str | None, now: datetime) -> float | None:
    return max(1.0, (datetime.fromisoformat(moment) - now).total_seconds()) if moment else None
