"""Backups by the clock and on request: one Job at a time, followed to its end, its outcome told by its resource.

Everything to go on from is in the cluster: ChronicleLedgerBackups say which Jobs there are, Jobs and their pods what
became of them. The operator may die between any two lines. Without `spec.backup` nothing is even looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from chronicle_kube.api import Kube, Manifest
from chronicle_operator.backups import job as jobs
from chronicle_operator.backups import outcome, plan
from chronicle_operator.crd.spec import Reconciliation
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.ownership import selector
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile import stages
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import LedgerContext
from chronicle_operator.resources.network_policies import BACKUP
from chronicle_operator.status import announce
from chronicle_operator.status.causes import causes
from chronicle_operator.status.conditions import Condition, timestamp

log = logging.getLogger(__name__)

KIND = "BackedUp"
FOLLOW_SECONDS = 5.0
WAIT_SECONDS = 30.0
Fields = dict[str, Any]


class Backups:
    """The extension of reconcile that has backups made."""

    def __init__(self, kube: Kube, clock: Callable[[], datetime], instance: str) -> None:
        """Use the API server; `clock` gives UTC, `instance` is this process's name in Events."""
        self._kube = kube
        self._clock = clock
        self._instance = instance

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """See `extension.Extension`. What was begun is followed to its end, whatever the spec says by now."""
        del ready  # a ledger with a node too few is backed up all the same
        status = seen.ledger.get("status") or {}
        old: Fields = dict(status.get("backup") or {})
        spec = wanted.spec.backup
        if spec is None and not old:
            return Addition()
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        found = await self._kube.list(kinds.BACKUP, seen.namespace)
        backups = [
            it
            for it in found
            if (it.get("spec") or {}).get("ledgerName") == ledger.name and not it["metadata"].get("deletionTimestamp")
        ]
        going = next((it for it in backups if plan.phase_of(it) in plan.GOING), None)
        retry = None if going is None else await self._follow(seen, ledger, going)
        await self._tidy(seen, backups)
        known = {**old, **_last(backups, ledger.uid), **({"nextTime": retry} if retry else {})}
        told = _told(backups, ledger.uid)
        if going is not None:
            return _addition(known, told, 1.0 if plan.phase_of(going) in plan.FINISHED else FOLLOW_SECONDS)
        if spec is None:
            said = "spec.backup is not set: no backups are made"
            return _addition({**known, "nextTime": None}, Condition(KIND, "Unknown", "NotConfigured", said))
        now = self._clock()
        due = plan.due(spec.schedule, known.get("nextTime"), ledger.name, ledger.uid, now)
        if due.problem:
            return _addition({**known, "nextTime": None}, Condition(KIND, "Unknown", "InvalidSchedule", due.problem))
        waiting = plan.pending(backups)
        following = timestamp(due.next_time) if due.next_time else None
        if due.name is None and not waiting:
            pause = (due.next_time - now).total_seconds() if due.next_time else None
            return _addition({**known, "nextTime": following}, told or _waits("for its time"), pause)
        if hindrance := _hindrance(seen, ledger, status):
            return _addition(known, told or _waits(hindrance), WAIT_SECONDS)
        if due.name is not None:
            await self._ask_for(ledger, due.name)
            return _addition({**known, "nextTime": following}, told or _waits("for its Job"), 1.0)
        await self._start(seen, ledger, waiting[0], backups)
        return _addition({**known, "nextTime": following}, told or _waits("for the end of its Job"), FOLLOW_SECONDS)

    async def _ask_for(self, ledger: LedgerContext, backup: str) -> None:
        """Make the ChronicleLedgerBackup of a planned time. It outlives the ledger, so it names no owner."""
        meta = {"name": backup, "namespace": ledger.namespace, "labels": selector(ledger.name)}
        body = {
            "apiVersion": kinds.BACKUP.api_version,
            "kind": kinds.BACKUP.kind,
            "metadata": meta,
            "spec": {"ledgerName": ledger.name},
        }
        try:
            await self._kube.create(kinds.BACKUP, body)
        except errors.Conflict:
            log.info("%s/%s: backup %s is there already", ledger.namespace, ledger.name, backup)

    async def _start(
        self, seen: Observation, ledger: LedgerContext, backup: Manifest, backups: Sequence[Manifest]
    ) -> None:
        """Begin a backup's Job, once."""
        spec = ledger.spec.backup
        if spec is None:
            return
        place = jobs.place(spec.destination, ledger.name)
        made = plan.succeeded(backups, ledger.uid, place.document())
        full = bool(backup["spec"].get("full")) or plan.is_full(made, spec.full_every)
        uid = str(backup["metadata"]["uid"])
        wanted = jobs.backup_job(ledger, uid, full=full, former_keys=plan.former_keys(made))
        for it in seen.of("Job", BACKUP):
            if name(it) != name(wanted):
                await self._kube.delete(kinds.JOB, seen.namespace, name(it), uid=it["metadata"]["uid"])
        try:
            await self._kube.create(kinds.JOB, wanted)
        except errors.Conflict:
            # Made by an operator that died before it could say so, if it is there; else somebody else's.
            if seen.find("Job", name(wanted)) is None:
                raise
        begun = {
            "phase": "Creating",
            "jobName": name(wanted),
            "ledgerUID": ledger.uid,
            "place": place.document(),
            "startTime": timestamp(self._clock()),
        }
        await self._write(backup, begun)
        log.info("%s/%s: backup %s has begun", seen.namespace, ledger.name, name(backup))

    async def _follow(self, seen: Observation, ledger: LedgerContext, backup: Manifest) -> str | None:
        """Note how far a backup is, and what it came to. Return when to try again, where nothing was decided."""
        status: Fields = dict(backup["status"])
        job_name = str(status.get("jobName"))
        found = outcome.backup(seen.find("Job", job_name), job_name, seen.pods)
        if found is None:
            stuck = "; ".join(causes(seen, (BACKUP,)))
            await self._write(backup, {**status, "phase": outcome.phase(job_name, seen.pods), "message": stuck or None})
            return None
        now = self._clock()
        refusal = found.refusal
        fields = {**status, "message": None, **found.fields, **_ended(status, now)}
        fields["phase"] = "Failed" if refusal else "Succeeded"
        if refusal:
            fields |= {"reason": refusal.reason, "message": refusal.message, "decided": refusal.decided}
        await self._write(backup, fields)
        said = _outcome(backup)
        note = announce.event(
            backup, "Warning" if refusal else "Normal", said.reason, "Backup", said.message, now, self._instance
        )
        await announce.announce(self._kube, note)
        log.info("%s/%s: %s", seen.namespace, ledger.name, said.message)
        undecided = refusal is not None and not refusal.decided
        return plan.soon(ledger.spec.backup.schedule, now) if undecided and ledger.spec.backup else None

    async def _tidy(self, seen: Observation, backups: Sequence[Manifest]) -> None:
        """Delete the resources that say no more."""
        for it in plan.superfluous(backups):
            await self._kube.delete(kinds.BACKUP, seen.namespace, name(it), uid=it["metadata"]["uid"])

    async def _write(self, backup: Manifest, fields: Mapping[str, Any]) -> None:
        """Write a backup's status where it differs from what is stored."""
        new = {key: value for key, value in fields.items() if value is not None}
        if new == (backup.get("status") or {}):
            return
        meta = backup["metadata"]
        stored = await self._kube.patch_status(
            kinds.BACKUP, meta["namespace"], meta["name"], new, meta["resourceVersion"]
        )
        backup["status"], backup["metadata"] = new, stored["metadata"]


def _ended(status: Mapping[str, Any], now: datetime) -> Fields:
    began = datetime.fromisoformat(str(status["startTime"])) if status.get("startTime") else now
    return {"completionTime": timestamp(now), "durationSeconds": max(0, round((now - began).total_seconds()))}


def _outcome(backup: Manifest) -> Condition:
    """Return what a finished backup says of its ledger."""
    fields = backup["status"]
    if plan.phase_of(backup) == "Failed":
        said = f"backup {name(backup)} failed: {fields.get('message')}"
        return Condition(KIND, "False" if fields.get("decided") else "Unknown", str(fields.get("reason")), said)
    seal = f"; seal {fields['seal']['number']}" if fields.get("seal") else ""
    said = (
        f"backup {fields['id']} has the {fields['ledgerTransactions']} transactions up to {fields['time']}"
        f" ({fields['kind'].lower()}, {fields['sizeBytes']} bytes){seal}; head {fields['head']}"
    )
    return Condition(KIND, "True", "Verified" if fields.get("verified") else "Made", said)


def _told(backups: Sequence[Manifest], uid: str) -> Condition | None:
    """Return what the latest finished backup of this very ledger came to, None before there is one."""
    finished = [it for it in backups if plan.phase_of(it) in plan.FINISHED and it["status"].get("ledgerUID") == uid]
    latest = max(finished, key=lambda it: (str(it["status"].get("completionTime")), name(it)), default=None)
    return None if latest is None else _outcome(latest)


def _last(backups: Sequence[Manifest], uid: str) -> Fields:
    """Return the newest backup that was made of this very ledger, as the ledger's status has it."""
    made = [it for it in backups if plan.phase_of(it) == "Succeeded" and it["status"].get("ledgerUID") == uid]
    newest = max(made, key=lambda it: str(it["status"].get("id")), default=None)
    if newest is None:
        return {}
    status = newest["status"]
    found = {"lastId": status["id"], "lastTime": status["time"], "verified": bool(status.get("verified"))}
    return {"lastName": name(newest), **found}


def _hindrance(seen: Observation, ledger: LedgerContext, status: Mapping[str, Any]) -> str:
    """Return until when a backup waits, empty where it can be made."""
    if ledger.spec.reconciliation is not Reconciliation.ACTIVE:
        return f"until spec.reconciliation is Active (it is {ledger.spec.reconciliation.value})"
    if stages.restoring(seen.ledger):
        return "until the ledger is restored"
    if not any((it.get("status") or {}).get("readyReplicas") for it in seen.of("Deployment", "api")):
        return "until the API answers: the schema may not be there"
    if (status.get("run") or {}).get("state") in ("Starting", "Running", "Cleaning"):
        return "for the end of the failure scenarios"
    return ""


def _waits(hindrance: str) -> Condition:
    return Condition(KIND, "Unknown", "Waiting", f"no backup yet; the first one waits {hindrance}")


def _addition(fields: Mapping[str, Any], condition: Condition | None, pause: float | None = None) -> Addition:
    kept = {key: value for key, value in fields.items() if value is not None}
    return Addition([condition] if condition else [], {"backup": kept or None}, pause)
