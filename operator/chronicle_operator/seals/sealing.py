"""Seals by the clock: one Job at a time, started once, its outcome taken into the status.

Everything to go on from is in the cluster: the status says which Job, the Job and its pod what became of it, and the
database has the seals. The operator may die between any two lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from chronicle_kube.api import Kube
from chronicle_operator.crd.spec import Reconciliation, Switch
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import LedgerContext
from chronicle_operator.scenarios.data_plane import data_plane
from chronicle_operator.scenarios.triggers import plan
from chronicle_operator.seals import job as jobs
from chronicle_operator.seals import outcome
from chronicle_operator.status.conditions import Condition, find, timestamp

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 5.0
RETRY = timedelta(minutes=5)
WAIT_SECONDS = 30.0
RUNNING = "Running"
GOING = ("Starting", "Running", "Cleaning")
"""States of a run of scenarios, during which nothing reads the whole ledger beside it."""


class Seals:
    """The extension of reconcile that has the ledger sealed."""

    def __init__(self, kube: Kube, clock: Callable[[], datetime]) -> None:
        """Use the API server; `clock` gives UTC."""
        self._kube = kube
        self._clock = clock

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """See `extension.Extension`. What was begun is followed to its end, whatever the spec says by now."""
        status = seen.ledger.get("status") or {}
        old: dict[str, Any] = dict(status.get("seal") or {})
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        if old.get("state") == RUNNING:
            return self._follow(seen, ledger, old)
        if wanted.spec.seal.mode is Switch.DISABLED:
            return _addition({**old, "nextTime": None}, Condition(outcome.KIND, "Unknown", "Disabled", DISABLED))
        try:
            following = _after(wanted.spec.seal.schedule, self._clock())
        except (CronSimError, StopIteration):
            said = f"seal.schedule {wanted.spec.seal.schedule!r} is not cron: five fields, as in '17 * * * *'"
            return _addition({**old, "nextTime": None}, Condition(outcome.KIND, "Unknown", "InvalidSchedule", said))
        planned = old.get("nextTime")
        moment = datetime.fromisoformat(str(planned)) if planned else None
        if moment is not None and moment > following:  # the schedule was changed
            moment = following
        if moment is not None and moment > self._clock():
            pause = (moment - self._clock()).total_seconds()
            return _addition({**old, "nextTime": timestamp(moment)}, _first(status, "Waiting", "no seal yet"), pause)
        # A ledger with a node too few is sealed all the same; where scenarios can begin, they go first.
        begins = ready and plan(wanted.spec, status, data_plane(ledger), self._clock()).due is not None
        if hindrance := _hindrance(seen, ledger, status, scenarios_begin=begins):
            return _addition(old, _first(status, "Waiting", f"the next seal waits {hindrance}"), WAIT_SECONDS)
        return await self._start(seen, ledger, old, str(planned or "first"))

    def _follow(self, seen: Observation, ledger: LedgerContext, old: dict[str, Any]) -> Addition:
        job_name = str(old.get("jobName"))
        found = outcome.read(seen.find("Job", job_name), job_name, seen.pods, old)
        if found is None:
            return _addition(old, None, FOLLOW_SECONDS)
        now = self._clock()
        try:
            following = _after(ledger.spec.seal.schedule, now)
        except (CronSimError, StopIteration):
            following = now + RETRY
        following = min(following, now + RETRY) if found.retry else following
        said = found.condition
        log.info("%s/%s: %s: %s", seen.namespace, ledger.name, said.reason, said.message)
        fields = {**old, **found.fields, "state": "Finished", "known": found.known, "nextTime": timestamp(following)}
        return _addition(fields, said, max(1.0, (following - now).total_seconds()))

    async def _start(self, seen: Observation, ledger: LedgerContext, old: dict[str, Any], slot: str) -> Addition:
        last_root = old.get("root") if old.get("known", True) else None
        wanted = jobs.job(ledger, slot, last_root=last_root, public_keys=old.get("publicKeys") or ())
        for it in seen.of("Job", jobs.COMPONENT):
            if name(it) != name(wanted):
                await self._kube.delete(kinds.JOB, seen.namespace, name(it), uid=it["metadata"]["uid"])
        try:
            await self._kube.create(kinds.JOB, wanted)
        except errors.Conflict:
            # Made by an operator that died before it could say so, if it is there; else somebody else's, and no seal.
            if seen.find("Job", name(wanted)) is None:
                raise
        begun = {**old, "state": RUNNING, "jobName": name(wanted), "startTime": timestamp(self._clock())}
        return _addition(begun, _first(seen.ledger.get("status") or {}, "Pending", "the first seal is being made"), 1.0)


DISABLED = "spec.seal.mode is Disabled: a history that is rewritten from now on shows in no seal"


def _hindrance(seen: Observation, ledger: LedgerContext, status: Mapping[str, Any], *, scenarios_begin: bool) -> str:
    """Return until when a seal waits, empty where it can be made."""
    if ledger.spec.reconciliation is not Reconciliation.ACTIVE:
        return f"until spec.reconciliation is Active (it is {ledger.spec.reconciliation.value})"
    if not any((it.get("status") or {}).get("readyReplicas") for it in seen.of("Deployment", "api")):
        return "until the API answers: the schema may not be there"
    if scenarios_begin or (status.get("run") or {}).get("state") in GOING:
        return "for the end of the failure scenarios"
    return ""


def _first(status: Mapping[str, Any], reason: str, message: str) -> Condition | None:
    """Return a condition for a ledger that has none; what the latest seal came to stays until there is another one."""
    known = find(status.get("conditions") or (), outcome.KIND)
    if known is not None and known.get("reason") not in ("Waiting", "Pending", "Disabled", "InvalidSchedule"):
        return None
    return Condition(outcome.KIND, "Unknown", reason, message)


def _addition(fields: Mapping[str, Any], condition: Condition | None, pause: float | None = None) -> Addition:
    kept = {key: value for key, value in fields.items() if value is not None}
    return Addition([condition] if condition else [], {"seal": kept or None}, pause)


def _after(schedule: str, now: datetime) -> datetime:
    """Return the next time of the schedule. Raises CronSimError, StopIteration."""
    return next(CronSim(schedule, now)).replace(tzinfo=UTC)
