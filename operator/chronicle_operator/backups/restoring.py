"""The backup that a new ledger begins with: put back by a Job before the API starts, tried again until it is proven.

`stages` holds API, relay and projector back until `status.restore.state` is Restored. An attempt that was interrupted
leaves the database marked; the next one removes what it left. The operator may die between any two lines.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chronicle_kube.api import Kube
from chronicle_operator.backups import job as jobs
from chronicle_operator.backups import outcome
from chronicle_operator.backups.job import Source
from chronicle_operator.backups.outcome import Refusal
from chronicle_operator.backups.plan import phase_of
from chronicle_operator.crd.spec import Reconciliation
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile import stages
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.resources import LedgerContext, names
from chronicle_operator.resources.network_policies import RESTORE
from chronicle_operator.seals.outcome import MOST_KEYS
from chronicle_operator.status.assess import ready_pods
from chronicle_operator.status.causes import causes
from chronicle_operator.status.conditions import Condition, timestamp

log = logging.getLogger(__name__)

KIND = "Restored"
FOLLOW_SECONDS = 5.0
WAIT_SECONDS = 10.0
RETRY = timedelta(minutes=5)
Fields = dict[str, Any]


class Restores:
    """The extension of reconcile that has a new ledger begin with a backup."""

    def __init__(self, kube: Kube, clock: Callable[[], datetime]) -> None:
        """Use the API server; `clock` gives UTC."""
        self._kube = kube
        self._clock = clock

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """See `extension.Extension`."""
        del ready
        old: Fields = dict((seen.ledger.get("status") or {}).get("restore") or {})
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        if old.get("state") == "Running":
            return await self._follow(seen, ledger, old)
        if not stages.restoring(seen.ledger):
            if old and old["state"] != "Restored":
                gone = "spec.bootstrap was taken away before the ledger was restored: see `chronicle backup restore`"
                return Addition([Condition(KIND, "Unknown", "NotAsked", gone)], {"restore": None})
            return Addition()
        if hindrance := _hindrance(seen, wanted):
            waits = Condition(KIND, "False", "Waiting", f"the backup is put back later: it waits {hindrance}")
            return Addition([] if old else [waits], {}, WAIT_SECONDS)
        now = self._clock()
        changed = old.get("generation") != seen.ledger["metadata"].get("generation")
        planned = old.get("nextTime")
        if planned and not changed and datetime.fromisoformat(planned) > now:
            return Addition([], {}, (datetime.fromisoformat(planned) - now).total_seconds())
        source = await self._source(ledger)
        if isinstance(source, Refusal):
            return self._refused(ledger, seen, old, source)
        return await self._start(seen, ledger, old, source)

    async def _source(self, ledger: LedgerContext) -> Source | Refusal:
        """Return what to put back, or why that is not known."""
        bootstrap = ledger.spec.bootstrap
        if bootstrap is None:
            return Refusal("NotAsked", "spec.bootstrap is not set", decided=True)
        asked, own = bootstrap.restore_from, ledger.spec.backup
        credentials = asked.credentials_secret_ref or (own.credentials_secret_ref if own else None)
        encryption = asked.encryption_key_secret_ref or (own.encryption_key_secret_ref if own else None)
        if asked.destination is not None:
            place = jobs.place(asked.destination, ledger.name)
            return Source(place, asked.id, asked.to, asked.public_keys, credentials, encryption)
        found = await self._kube.get(kinds.BACKUP, ledger.namespace, str(asked.backup))
        if found is None:
            said = f"there is no ChronicleLedgerBackup {asked.backup} in namespace {ledger.namespace}"
            return Refusal("BackupMissing", said, decided=True)
        status = found.get("status") or {}
        if phase_of(found) != "Succeeded":
            said = f"ChronicleLedgerBackup {asked.backup} is {phase_of(found)}: only one that Succeeded can be put back"
            return Refusal("BackupUnfinished", said, decided=True)
        keys = asked.public_keys or [str(status["publicKey"])]
        head = None if asked.to else str(status["head"])
        where = jobs.place_of(status.get("place") or {})
        return Source(where, str(status["id"]), asked.to, keys, credentials, encryption, head)

    async def _start(self, seen: Observation, ledger: LedgerContext, old: Fields, source: Source) -> Addition:
        attempt = int(old.get("attempt") or 0) + 1
        wanted = jobs.restore_job(ledger, attempt, source)
        for it in seen.of("Job", RESTORE):
            if name(it) != name(wanted):
                await self._kube.delete(kinds.JOB, seen.namespace, name(it), uid=it["metadata"]["uid"])
        try:
            await self._kube.create(kinds.JOB, wanted)
        except errors.Conflict:
            # Made by an operator that died before it could say so, if it is there; else somebody else's.
            if seen.find("Job", name(wanted)) is None:
                raise
        begun = {
            "state": "Running",
            "attempt": attempt,
            "jobName": name(wanted),
            "generation": int(seen.ledger["metadata"]["generation"]),
            "startTime": timestamp(self._clock()),
        }
        said = f"attempt {attempt}: the backup is being put back and proven; nothing is served until then"
        said = f"{said} (the attempt before: {_before(seen)})" if attempt > 1 and _before(seen) else said
        return Addition([Condition(KIND, "False", "Restoring", said)], {"restore": begun}, FOLLOW_SECONDS)

    async def _follow(self, seen: Observation, ledger: LedgerContext, old: Fields) -> Addition:
        job_name = str(old.get("jobName"))
        found = outcome.restore(seen.find("Job", job_name), job_name, seen.pods)
        if found is None:
            stuck = "; ".join(causes(seen, (RESTORE,)))
            told = [Condition(KIND, "False", "Restoring", f"the Job does not get on: {stuck}")] if stuck else []
            return Addition(told, {}, FOLLOW_SECONDS)
        if found.refusal:
            return self._refused(ledger, seen, old, found.refusal)
        source = await self._source(ledger)
        fields = dict(found.fields)
        keys = fields.pop("sealKeys")
        if isinstance(source, Source) and source.head not in (None, fields["head"]):
            said = f"what was put back has head {fields['head']}, and the ChronicleLedgerBackup notes {source.head}"
            return self._refused(ledger, seen, old, Refusal("HeadDiffers", said, decided=True))
        done = {
            "state": "Restored",
            "attempt": old.get("attempt"),
            "jobName": job_name,
            "startTime": old.get("startTime"),
            "completionTime": timestamp(self._clock()),
            **fields,
        }
        words = (
            f"backup {fields['backupId']} was put back and proven: {fields['transactions']} transactions, head"
            f" {fields['head']}"
        )
        log.info("%s/%s: %s", seen.namespace, ledger.name, words)
        # The sealer goes on with another key where the seals that were put back end. It and the API must know both.
        keys = [*(it for it in keys if it != own), own][-MOST_KEYS:] if keys and (own := _own_key(seen)) else keys
        seal = {**((seen.ledger.get("status") or {}).get("seal") or {}), **({"publicKeys": keys} if keys else {})}
        added = {"restore": {key: it for key, it in done.items() if it is not None}, **({"seal": seal} if seal else {})}
        return Addition([Condition(KIND, "True", "Proven", words)], added, 1.0)

    def _refused(self, ledger: LedgerContext, seen: Observation, old: Fields, refusal: Refusal) -> Addition:
        now = self._clock()
        fields = {
            "state": "Failed",
            "attempt": old.get("attempt"),
            "jobName": old.get("jobName"),
            "generation": int(old.get("generation") or seen.ledger["metadata"]["generation"]),
            "startTime": old.get("startTime"),
            "nextTime": timestamp(now + RETRY),
        }
        if refusal.reason in ("BackupMissing", "BackupUnfinished"):
            fields["generation"] = int(seen.ledger["metadata"]["generation"])
        words = f"{refusal.message}. Nothing is served; it is tried again at {fields['nextTime']}, or when spec changes"
        log.warning("%s/%s: not restored: %s", seen.namespace, ledger.name, refusal.message)
        return Addition(
            [Condition(KIND, "False", refusal.reason, words)],
            {"restore": {key: it for key, it in fields.items() if it is not None}},
            RETRY.total_seconds(),
        )


def _hindrance(seen: Observation, wanted: Desired) -> str:
    """Return what a restore waits for, empty where it can begin."""
    if wanted.spec.reconciliation is not Reconciliation.ACTIVE:
        return f"until spec.reconciliation is Active (it is {wanted.spec.reconciliation.value})"
    if stages.unfinished(wanted.manifests, seen):
        return "for the database and its schema"
    servers = seen.of("StatefulSet", "nats")
    ready, all_ = ready_pods(servers)
    if not servers or ready < all_:
        return "for the NATS servers"
    return ""


def _own_key(seen: Observation) -> str:
    """Return the public half of the ledger's own key for seals, empty where it has none yet."""
    secret = seen.find("Secret", names.seal_key(name(seen.ledger))) or {}
    return base64.b64decode((secret.get("data") or {}).get("public.hex") or "").decode().strip()


def _before(seen: Observation) -> str:
    """Return what the attempt before came to, as the condition has it."""
    for it in (seen.ledger.get("status") or {}).get("conditions") or ():
        if it.get("type") == KIND and it.get("reason") != "Restoring":
            return str(it.get("reason"))
    return ""
