"""Kubernetes Events: said once when something changes, never as a log of what goes on.

An Event's name is made of what it says, so that a restarted operator that sees the same transition again does not say
it twice within the same minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from chronicle_contract.labels import DOMAIN
from chronicle_kube.api import Kube, Manifest
from chronicle_operator.kube import errors, kinds
from chronicle_operator.status.conditions import Condition, shorten

REPORTER = f"{DOMAIN}/operator"

WARNINGS = ("AuthorityExpiresSoon",)
"""Reasons that are bad news whatever the status."""

# A condition that turns to this status is bad news.
BAD = {"ReconciliationPaused": "none", "Progressing": "none"}


def of_transition(ledger: Mapping[str, Any], change: Condition, now: datetime, instance: str) -> Manifest:
    """Return the Event for a condition that changed."""
    bad = BAD.get(change.type, "False") == change.status or (change.type, change.status) == ("Ready", "Unknown")
    bad = bad or change.reason in WARNINGS
    return event(
        ledger,
        "Warning" if bad and change.reason not in ("Starting", "Hibernated", "NotRun") else "Normal",
        change.reason,
        change.type,
        f"{change.type} is {change.status}: {change.message}",
        now,
        instance,
    )


def event(
    ledger: Mapping[str, Any],
    level: Literal["Normal", "Warning"],
    reason: str,
    action: str,
    note: str,
    now: datetime,
    instance: str,
) -> Manifest:
    """Return an Event about a ledger or a backup. `reason` and `action` are CamelCase words."""
    meta = ledger["metadata"]
    said = hashlib.sha256(f"{meta['uid']} {action} {reason} {note} {now:%Y-%m-%dT%H:%M}".encode()).hexdigest()[:12]
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.kind,
        "metadata": {"name": f"{meta['name']}.{said}", "namespace": meta["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": level,
        "reason": reason,
        "action": action,
        "note": shorten(note),
        "regarding": {
            "apiVersion": kinds.LEDGER.api_version,
            "kind": str(ledger.get("kind") or kinds.LEDGER.kind),
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "reportingController": REPORTER,
        "reportingInstance": instance,
    }


async def announce(kube: Kube, manifest: Manifest) -> None:
    """Post an Event. What cannot be said is dropped: an Event is never a reason to fail."""
    try:
        await kube.create(kinds.EVENT, manifest)
    except errors.KubeError:
        return
