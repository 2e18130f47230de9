"""What became of a backup's or a restore's Job: read from the Job and its pod. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from chronicle_operator.backups.job import CREATE, PRUNE, VERIFY
from chronicle_operator.observe.jobs import has_failed, is_complete
from chronicle_operator.resources.network_policies import RESTORE
from chronicle_operator.status.status_model import LedgerBackupStatus, RestoreStatus

Object = Mapping[str, Any]
Truth = Literal["True", "False", "Unknown"]

JOB_NAME = ("batch.kubernetes.io/job-name", "job-name")
UNDECIDED = 3
"""The exit status of `chronicle backup` that says: try again."""

PHASES = {CREATE: "Creating", VERIFY: "Verifying", PRUNE: "Pruning"}
"""What a backup's status calls the container that runs."""


@dataclass(frozen=True)
class Refusal:
    """Why a step did not do its work. `decided`: trying again changes nothing by itself."""

    reason: str
    message: str
    decided: bool


@dataclass(frozen=True)
class Outcome:
    """What a Job came to: fields of the status, and what speaks against it."""

    fields: Mapping[str, Any]
    refusal: Refusal | None = None


def phase(job_name: str, pods: Iterable[Object]) -> str:
    """Return how far the backup of a Job is that has not ended."""
    states = _states(job_name, pods)
    running = [step for step in PHASES if "running" in states.get(step, {})]
    ended = [step for step in PHASES if "terminated" in states.get(step, {})]
    return PHASES[(running or ended or [CREATE])[-1]]


def backup(job: Object | None, job_name: str, pods: Iterable[Object]) -> Outcome | None:
    """Return what a backup's Job came to, None while it is at work."""
    states = _states(job_name, pods)
    ended = {step: it["terminated"] for step, it in states.items() if "terminated" in it}
    if not _over(job, states):
        return None
    refusals = {step: _refusal(it) for step, it in ended.items()}
    if CREATE not in ended:
        return Outcome({}, _lost(job))
    if refused := refusals[CREATE]:
        return Outcome({}, refused)
    try:
        fields = _made(json.loads(str(ended[CREATE].get("message") or "")))
    except (ValueError, KeyError, TypeError, ValidationError):
        return Outcome({}, Refusal("OutcomeUnknown", "the answer of its Job cannot be read", decided=False))
    if VERIFY in states:
        refused = refusals.get(VERIFY) if VERIFY in ended else _lost(job)
        fields["verified"] = refused is None
        if refused:
            return Outcome(fields, refused)
    if PRUNE in states:
        refused = refusals.get(PRUNE) if PRUNE in ended else _lost(job)
        if refused:  # the backup is there, whatever became of older ones
            fields["message"] = f"older backups could not be deleted: {refused.message}"
        else:
            fields["pruned"] = _pruned(str(ended[PRUNE].get("message") or ""))
    return Outcome(fields)


def restore(job: Object | None, job_name: str, pods: Iterable[Object]) -> Outcome | None:
    """Return what a restore's Job came to, None while it is at work. `sealKeys` of the fields signed the seals."""
    states = _states(job_name, pods)
    if not _over(job, states):
        return None
    ended = states.get(RESTORE, {}).get("terminated")
    if ended is None:
        return Outcome({}, _lost(job))
    if refused := _refusal(ended):
        return Outcome({}, refused)
    try:
        answer = json.loads(str(ended.get("message") or ""))
        fields = {
            "backupId": str(answer["backup"]),
            "transactions": int(answer["transactions"]),
            "head": str(answer["head"]),
        }
        RestoreStatus.model_validate({"state": "Restored", **fields})
        return Outcome({**fields, "sealKeys": [str(it) for it in answer["seal_keys"]]})
    except (ValueError, KeyError, TypeError, ValidationError):
        return Outcome({}, Refusal("OutcomeUnknown", "the answer of its Job cannot be read", decided=False))


def camel(code: str) -> str:
    """Return a code of `chronicle backup` as Kubernetes writes reasons: `wrong_key` is `WrongKey`."""
    return "".join(part.capitalize() for part in code.split("_") if part.isalnum())


def _made(answer: Mapping[str, Any]) -> dict[str, Any]:
    seal = answer["seal"]
    fields: dict[str, Any] = {
        "id": str(answer["id"]),
        "kind": str(answer["kind"]).capitalize(),
        "time": str(answer["at"]),
        "transactions": int(answer["transactions"]),
        "ledgerTransactions": int(answer["ledger_transactions"]),
        "sizeBytes": int(answer["stored_bytes"]),
        "head": str(answer["head"]),
        "root": str(answer["root"]),
        "publicKey": str(answer["public_key"]),
        "encrypted": bool(answer["encrypted"]),
        "verified": False,
    }
    if seal is not None:
        fields["seal"] = {"number": int(seal["number"]), "root": str(seal["root"])}
    LedgerBackupStatus.model_validate(fields)
    return fields


def _pruned(said: str) -> list[str]:
    try:
        return [str(it) for it in json.loads(said)["deleted"]][:100]
    except (ValueError, KeyError, TypeError):
        return []


def _states(job_name: str, pods: Iterable[Object]) -> dict[str, Mapping[str, Any]]:
    """Return the state of each container of the Job's latest pod, by name."""
    mine = [it for it in pods if any((it["metadata"].get("labels") or {}).get(key) == job_name for key in JOB_NAME)]
    mine.sort(key=lambda it: str(it["metadata"].get("creationTimestamp") or ""))
    status = (mine[-1].get("status") or {}) if mine else {}
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {str(it["name"]): it.get("state") or {} for it in found}


def _over(job: Object | None, states: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether nothing of the Job runs any more. Job and pods are read at two moments, so one may be ahead."""
    if any("running" in it for it in states.values()):
        return False
    if job is None or has_failed(job) or (is_complete(job) and not states):
        return True
    if any(int(it["terminated"].get("exitCode", -1)) for it in states.values() if "terminated" in it):
        return True
    return bool(states) and all("terminated" in it for it in states.values())


def _refusal(ended: Mapping[str, Any]) -> Refusal | None:
    code = int(ended.get("exitCode", -1))
    if code == 0:
        return None
    said = str(ended.get("message") or "")
    try:
        error = json.loads(said)["error"]
        return Refusal(camel(str(error["code"])), str(error["message"]), decided=code != UNDECIDED)
    except (ValueError, KeyError, TypeError):
        lines = [it.strip() for it in said.splitlines() if it.strip()]
        why = lines[-1] if lines else str(ended.get("reason") or "it said nothing")
        return Refusal("Failed", f"it ended with status {code}: {why}", decided=False)


def _lost(job: Object | None) -> Refusal:
    """Return what is said where a Job is over and no pod tells why."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    failed = [it for it in conditions if it.get("type") == "Failed" and it.get("status") == "True"]
    why = " ".join(str(failed[0].get(key, "")) for key in ("reason", "message")).strip() if failed else ""
    words = f"its Job ended without an answer ({why})" if why else "its Job or its pod is gone: it was removed"
    return Refusal("JobLost", words, decided=False)
