"""What became of a seal: read from the Job and its pod, judged against the latest seal that the status knows. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from chronicle_operator.observe.jobs import has_failed, is_complete
from chronicle_operator.seals.job import COMPONENT
from chronicle_operator.status.conditions import Condition
from chronicle_operator.status.status_model import SealStatus

KIND = "Sealed"
REFUSED = 1
"""The exit status of `chronicle seal` when it signed nothing because the ledger does not extend what was sealed."""

JOB_NAME = ("batch.kubernetes.io/job-name", "job-name")
MOST_KEYS = 20
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What to say, and which fields of `status.seal` change. `retry`: nothing was decided, so try again soon.

    `known`: what the seals are now is known; where it is not, the next seal cannot be asked to follow the last one.
    """

    condition: Condition
    fields: Mapping[str, Any] = field(default_factory=dict)
    retry: bool = False
    known: bool = True


def read(job: Object | None, job_name: str, pods: Iterable[Object], old: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome of the Job, None while it is at work. `old` is `status.seal`."""
    mine = [it for it in pods if any((it["metadata"].get("labels") or {}).get(key) == job_name for key in JOB_NAME)]
    ended = [state for it in mine if (state := _terminated(it)) is not None]
    if ended:
        return _judged(int(ended[-1].get("exitCode", -1)), str(ended[-1].get("message") or ""), old)
    if job is None:
        return _unknown("its Job is gone")
    if is_complete(job) or has_failed(job):
        return _unknown(_why(job) or "its pod is gone")
    return None


def _judged(code: int, said: str, old: Mapping[str, Any]) -> Outcome:
    if code == REFUSED:
        return Outcome(Condition(KIND, "False", "SealRefused", _words(said)))
    if code != 0:
        return Outcome(Condition(KIND, "Unknown", "NotSealed", f"no seal was made: {_words(said)}"), retry=True)
    try:
        answer = json.loads(said)
        document, made = answer["seal"], bool(answer["made"])
        if document is None:
            return _nothing(old)
        number, root, previous = int(document["number"]), str(document["root"]), str(document["previous"])
        fields = {
            "number": number,
            "time": str(document["at"]),
            "transactions": int(document["transactions"]),
            "root": root,
            "publicKey": str(document["public_key"]),
        }
        SealStatus.model_validate(fields)
    except (ValueError, KeyError, TypeError, ValidationError):
        return _unknown("its answer cannot be read")
    if broken := _break(number, root, previous, old):
        return Outcome(Condition(KIND, "False", "SealsMissing", broken))
    keys = [*(it for it in old.get("publicKeys") or () if it != fields["publicKey"]), fields["publicKey"]]
    fields["publicKeys"] = keys[-MOST_KEYS:]
    message = (
        f"seal {number} covers {fields['transactions']} transactions; root {root}"
        f"{'' if made else '; nothing has changed since'}"
    )
    return Outcome(Condition(KIND, "True", "Sealed", message), fields)


def _nothing(old: Mapping[str, Any]) -> Outcome:
    if old.get("number"):
        said = f"the database has no seal, and seal {old['number']} was made: seals and accounts were taken away"
        return Outcome(Condition(KIND, "False", "SealsMissing", f"{said}. {RESTORE}"))
    return Outcome(Condition(KIND, "Unknown", "NothingToSeal", "the ledger has no account yet"))


RESTORE = "Bring them back from a copy (`chronicle seal export` made one); `chronicle proof --seals` says what differs"


def _break(number: int, root: str, previous: str, old: Mapping[str, Any]) -> str:
    """Return what speaks against this seal as the one that follows the known one, empty where nothing does."""
    known, known_root = old.get("number"), old.get("root")
    if not known:
        return ""
    if number < known:
        return f"the last seal in the database is number {number}, and seal {known} was made: seals are gone. {RESTORE}"
    if number == known and root != known_root:
        return f"seal {number} in the database has root {root}, and was made with root {known_root}. {RESTORE}"
    if number == known + 1 and previous != known_root:
        return f"seal {number} follows root {previous}, and seal {known} was made with root {known_root}. {RESTORE}"
    return ""


def _unknown(why: str) -> Outcome:
    message = f"what became of the seal that was begun is not known: {why}"
    return Outcome(Condition(KIND, "Unknown", "OutcomeUnknown", message), retry=True, known=False)


def _why(job: Object) -> str:
    conditions = (job.get("status") or {}).get("conditions") or ()
    found = [it for it in conditions if it.get("type") == "Failed" and it.get("status") == "True"]
    return " ".join(str(found[0].get(key, "")) for key in ("reason", "message")).strip() if found else ""


def _terminated(pod: Object) -> Mapping[str, Any] | None:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == COMPONENT:
            state: Mapping[str, Any] | None = (status.get("state") or {}).get("terminated")
            return state
    return None


def _words(said: str) -> str:
    """Return the last line that says something: before it may stand lines of a log."""
    lines = [it.strip() for it in said.splitlines() if it.strip()]
    return lines[-1] if lines else "it said nothing"
