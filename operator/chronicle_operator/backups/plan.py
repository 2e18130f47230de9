"""When the next backup is due, what it is called, and whether it is a full one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from chronicle_operator.resources import names
from chronicle_operator.status.conditions import timestamp

Object = dict[str, Any]
GOING = ("Creating", "Verifying", "Pruning")
FINISHED = ("Succeeded", "Failed")
RETRY = timedelta(minutes=10)
KEPT_FAILURES = 3
"""So many failed backups stay to be looked at."""


@dataclass(frozen=True)
class Due:
    """`name`: a backup is due now, and is called so. `next_time`: when the next one is. `problem`: neither."""

    name: str | None = None
    next_time: datetime | None = None
    problem: str = ""


def due(schedule: str | None, planned: str | None, ledger: str, uid: str, now: datetime) -> Due:
    """Return what the clock says. `planned` is what the status noted as the next time, None before the first backup.

    A planned time has one name, so that an operator that dies after it made the backup makes no second one. After a
    downtime one backup takes the place of all that were missed.
    """
    if schedule is None:
        return Due()
    try:
        following = after(schedule, now)
    except (CronSimError, StopIteration):
        return Due(problem=f"backup.schedule {schedule!r} is not cron: five fields, as in '0 2 * * *'")
    if planned is None:
        return Due(f"{ledger}-first-{names.digest(uid)[:6]}", following)
    moment = datetime.fromisoformat(planned)
    if moment > now:
        return Due(next_time=min(moment, following))  # the schedule may have been changed
    return Due(f"{ledger}-{moment:%Y%m%d-%H%M%S}", following)


def after(schedule: str, now: datetime) -> datetime:
    """Return the next time of the schedule. Raises CronSimError, StopIteration."""
    return next(CronSim(schedule, now)).replace(tzinfo=UTC)


def phase_of(backup: Object) -> str:
    """Return the phase of a ChronicleLedgerBackup, Pending where it has none."""
    return str((backup.get("status") or {}).get("phase") or "Pending")


def pending(backups: Iterable[Object]) -> list[Object]:
    """Return the backups that have not begun, the oldest first."""
    found = [it for it in backups if phase_of(it) == "Pending"]
    return sorted(found, key=lambda it: (str(it["metadata"].get("creationTimestamp") or ""), it["metadata"]["name"]))


def succeeded(backups: Iterable[Object], uid: str, place: Mapping[str, str]) -> list[Object]:
    """Return this very ledger's backups at a place that were made, the oldest first."""
    found = [
        it
        for it in backups
        if phase_of(it) == "Succeeded"
        and it["status"].get("ledgerUID") == uid
        and (it["status"].get("place") or {}) == place
    ]
    return sorted(found, key=lambda it: str(it["status"].get("id")))


def is_full(made: Sequence[Object], full_every: int) -> bool:
    """Whether the next backup begins a new chain: the first one does, and then every `full_every`th.

    So does the one after a ledger was made anew at an old place: `made` are the backups of this very ledger.
    """
    for since, backup in enumerate(reversed(made), 1):
        if backup["status"].get("kind") == "Full":
            return since >= full_every
    return True


def former_keys(made: Iterable[Object]) -> list[str]:
    """Return who signed these backups, each once."""
    return sorted({str(it["status"]["publicKey"]) for it in made if it["status"].get("publicKey")})


def superfluous(backups: Sequence[Object]) -> list[Object]:
    """Return the ChronicleLedgerBackups that say no more: their files are deleted, or they failed long ago."""
    gone = {(_place(it), id_) for it in backups if it.get("status") for id_ in (it["status"].get("pruned") or ())}
    found = [it for it in backups if it.get("status") and (_place(it), it["status"].get("id")) in gone]
    failed = [it for it in backups if phase_of(it) == "Failed"]
    failed.sort(key=lambda it: str(it["status"].get("completionTime") or ""))
    return [*found, *(it for it in failed[:-KEPT_FAILURES] if it not in found)]


def _place(backup: Object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((backup["status"].get("place") or {}).items()))


def soon(schedule: str | None, now: datetime) -> str | None:
    """Return when to try again after a failure that decided nothing: soon, and no later than planned anyway."""
    if schedule is None:
        return None
    try:
        return timestamp(min(after(schedule, now), now + RETRY))
    except (CronSimError, StopIteration):
        return None
