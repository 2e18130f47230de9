"""Conditions: what is true of a ledger now, why, and since when.

A condition's time changes only when its status does, so that "since when" can be trusted; reason and message may change
without it. (Kubernetes API conventions, "Typical status properties".)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Truth = Literal["True", "False", "Unknown"]

# In the order in which a person wants to read them.
TYPES = (
    "Ready",
    "CockroachReady",
    "NatsReady",
    "ApiReady",
    "CertificatesReady",
    "Progressing",
    "ReconciliationPaused",
    "ResilienceVerified",
)
TOLD_BY_REASON = ("Progressing", "ResilienceVerified", "CertificatesReady", "BackedUp", "Restored")
MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Condition:
    """One observed truth. `reason` is a CamelCase word for programs, `message` a sentence for people."""

    type: str
    status: Truth
    reason: str
    message: str


def merge(
    old: Sequence[Mapping[str, Any]], new: Iterable[Condition], *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Return the conditions to store: `new` over `old`, each with the time of its last change of status.

    Conditions of `old` that `new` says nothing about stay as they are: another part of the operator owns them.
    """
    merged = {str(item["type"]): dict(item) for item in old}
    for condition in new:
        before = merged.get(condition.type)
        changed = before is None or before.get("status") != condition.status
        merged[condition.type] = {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": shorten(condition.message),
            "observedGeneration": generation,
            "lastTransitionTime": timestamp(now) if changed or before is None else before["lastTransitionTime"],
        }
    return sorted(merged.values(), key=_place)


def transitions(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Condition]:
    """Return the conditions that are worth an Event: of another status than before, or another kind of progress, or
    another outcome of the failure scenarios (one that proves nothing is Unknown, as it was before the run), or a
    warning of certificates that are still valid.

    What a new ledger begins with is no news until something of it is true.
    """
    before = {item["type"]: item for item in old}
    return [
        Condition(item["type"], item["status"], item["reason"], item["message"])
        for item in new
        if _is_news(before.get(item["type"]), item)
    ]


def _is_news(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    if before is None:
        return bool(now["status"] == "True")
    if before.get("status") != now["status"]:
        return True
    return now["type"] in TOLD_BY_REASON and before.get("reason") != now["reason"]


def find(conditions: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """Return the condition of that type."""
    return next((item for item in conditions if item.get("type") == name), None)


def is_true(conditions: Iterable[Mapping[str, Any]], name: str) -> bool:
    """Whether the condition is there and `True`."""
    found = find(conditions, name)
    return found is not None and found.get("status") == "True"


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in seconds, UTC, as Kubernetes writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def shorten(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """Cut a message to what a person reads, after a word: an API server's answer can run to pages."""
    if len(message) <= limit:
        return message
    kept, _, rest = message[: limit - 1].rpartition(" ")
    # A word that is longer than the rest of the sentence is cut like any text.
    return (kept if len(kept) > len(rest) else message[: limit - 1]).rstrip(" ,;:") + "…"


def _place(item: Mapping[str, Any]) -> tuple[int, str]:
    name = str(item["type"])
    return (TYPES.index(name) if name in TYPES else len(TYPES), name)
