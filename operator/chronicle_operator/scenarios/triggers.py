"""Whether a run is due. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from chronicle_operator.crd.spec import ChronicleLedgerSpec, Trigger
from chronicle_operator.status.conditions import timestamp


@dataclass(frozen=True)
class Due:
    """A run that is due. `run_id` is the same whenever the same run is asked for, so that it starts once."""

    run_id: str
    trigger: str

    @property
    def words(self) -> str:
        """Return what a sentence calls it."""
        return f"run {self.run_id} ({self.trigger})"


@dataclass(frozen=True)
class Plan:
    """What the triggers say now: a run, the time of the next scheduled one, a problem to tell a person."""

    due: Due | None = None
    next_time: str | None = None
    problem: str = ""


def plan(spec: ChronicleLedgerSpec, status: Mapping[str, Any], data_plane: str, now: datetime) -> Plan:
    """Return whether a run is due. `status` is the ledger's; a changed `runID` starts a run under every trigger."""
    resilience, last = spec.resilience, status.get("run") or {}
    scheduled, problem, slot_due = _schedule(spec, status, now)
    due: Due | None = None
    if resilience.run_id and resilience.run_id != last.get("requestedRunID"):
        due = Due(resilience.run_id, Trigger.MANUAL)
    elif resilience.trigger is Trigger.ON_READY and data_plane != last.get("dataPlane"):
        due = Due(f"ready-{data_plane}", Trigger.ON_READY)
    elif slot_due:
        due = Due(f"cron-{slot_due:%Y%m%d-%H%M}", Trigger.SCHEDULED)
    return Plan(due if resilience.scenarios else None, scheduled, problem)


def _schedule(
    spec: ChronicleLedgerSpec, status: Mapping[str, Any], now: datetime
) -> tuple[str | None, str, datetime | None]:
    """Return the next time, a problem, and the slot that is due: one, however many were missed.

    The planned time counts as long as the schedule still has it; a changed schedule begins with its own next time.
    """
    resilience = spec.resilience
    if resilience.trigger is not Trigger.SCHEDULED or not resilience.schedule:
        return None, "", None
    try:
        following = next(CronSim(resilience.schedule, now)).replace(tzinfo=UTC)
    except (CronSimError, StopIteration):
        return None, f"resilience.schedule {resilience.schedule!r} is not cron: five fields, as in '0 3 * * 0'", None
    planned = status.get("nextRunTime")
    moment = datetime.fromisoformat(str(planned)) if planned else None
    if moment is None or moment > now or not _has(resilience.schedule, moment):
        return timestamp(following), "", None
    return str(planned), "", moment


def _has(schedule: str, moment: datetime) -> bool:
    before = moment - timedelta(minutes=1)
    return bool(next(CronSim(schedule, before)).replace(tzinfo=UTC) == moment)


def after_slot(spec: ChronicleLedgerSpec, now: datetime) -> str | None:
    """Return the next scheduled time after a slot was taken."""
    if spec.resilience.trigger is not Trigger.SCHEDULED or not spec.resilience.schedule:
        return None
    return timestamp(next(CronSim(spec.resilience.schedule, now)).replace(tzinfo=UTC))
