"""What Kubernetes' controllers say they could not make: pods that a quota, an admission policy or Pod Security refuses,
and volumes of a storage class that is not there.

No status has it but a Deployment's: of a StatefulSet, a Job and a volume claim only Events tell. They are asked for
when something is missing, by reason, and told as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chronicle_kube.api import Kube, Manifest
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.jobs import has_failed, is_complete

NO_POD, NO_VOLUME = "FailedCreate", "ProvisioningFailed"
SECONDS = len("2026-03-01T12:00:00")
"""How much of a time is compared: some have microseconds."""


def lacking(children: Iterable[Manifest], pods: Iterable[Manifest], claims: Iterable[Manifest]) -> list[str]:
    """Return the reasons of the Events that may say why something is missing; none when nothing is."""
    owners = [str(it.get("uid")) for pod in pods for it in pod["metadata"].get("ownerReferences") or ()]
    reasons = [NO_POD] if any(_lacks_pods(it, owners) for it in children) else []
    return reasons + ([NO_VOLUME] if any(is_pending(it) for it in claims) else [])


def is_pending(claim: Mapping[str, Any]) -> bool:
    """Whether a volume claim waits for its volume."""
    return (claim.get("status") or {}).get("phase") == "Pending"


def _lacks_pods(item: Manifest, owners: list[str]) -> bool:
    uid = str(item["metadata"]["uid"])
    if item["kind"] == kinds.STATEFUL_SET.kind:
        return owners.count(uid) < int(item["spec"].get("replicas", 1))
    return item["kind"] == kinds.JOB.kind and not is_complete(item) and not has_failed(item) and uid not in owners


async def read(kube: Kube, namespace: str, reasons: Iterable[str], pods: Iterable[Manifest]) -> dict[str, str]:
    """Return the latest words about each object, by its uid. An operator that may not read Events knows of none.

    A refusal that is older than a pod of the same owner has passed: Events stay for an hour.
    """
    words: dict[str, tuple[str, str]] = {}
    made = _last_made(pods)
    for reason in reasons:
        try:
            events = await kube.list(kinds.EVENT, namespace, fields={"reason": reason})
        except errors.Forbidden:
            return {}
        for event in events:
            uid = str((event.get("regarding") or {}).get("uid"))
            words[uid] = max(words.get(uid, ("", "")), (_time(event), str(event.get("note") or "")))
    return {uid: note for uid, (time, note) in words.items() if note and time[:SECONDS] >= made.get(uid, "")}


def _last_made(pods: Iterable[Manifest]) -> dict[str, str]:
    """Return when the latest pod of each owner was made."""
    made: dict[str, str] = {}
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences") or ():
            time = str(pod["metadata"].get("creationTimestamp") or "")[:SECONDS]
            made[str(owner.get("uid"))] = max(made.get(str(owner.get("uid")), ""), time)
    return made


def _time(event: Mapping[str, Any]) -> str:
    """Return when an Event was last seen. All of these are RFC 3339 in UTC, so that they compare as text."""
    latest = (event.get("series") or {}).get("lastObservedTime"), event.get("deprecatedLastTimestamp")
    return str(next((it for it in (*latest, event.get("eventTime")) if it), ""))
