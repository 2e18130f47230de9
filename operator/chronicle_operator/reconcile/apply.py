"""Make the children what the spec says: apply what differs, leave what is right, remove what is no longer wanted.

Server-side apply would be right without this memory, only noisy: some forty requests for every reconcile of a ledger
that nobody touched. Whether an object still is what was applied can be told from two things: the digest of what was
sent, and the API server's own record of the fields that belong to this field manager (`metadata.managedFields`). A hand
that changes one of those fields takes it over, so the record differs; changes of fields that are not ours (status,
defaults, another controller's annotations) leave it alone. The memory is of this process; a new one applies all once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from chronicle_contract.labels import MANAGER
from chronicle_kube.api import Manifest
from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds
from chronicle_operator.observe.ownership import owned_by

Key = tuple[str, str, str]
"""Kind, namespace and name."""


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Return what identifies an object among the children."""
    meta = manifest["metadata"]
    return (str(manifest["kind"]), str(meta["namespace"]), str(meta["name"]))


class Memory:
    """What was applied, and what the API server recorded as ours then."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._applied: dict[Key, tuple[str, str, str]] = {}
        self._repeated: dict[Key, int] = {}

    def is_current(self, desired: Manifest, live: Mapping[str, Any] | None) -> bool:
        """Whether `live` is what was applied, unchanged since, and `desired` is the same as then."""
        if live is None:
            return False
        current = self._applied.get(key_of(desired)) == (digest(desired), live["metadata"]["uid"], ours(live))
        if current:
            self._repeated[key_of(desired)] = 0
        return current

    def remember(self, desired: Manifest, live: Mapping[str, Any]) -> int:
        """Record the answer to an apply. Returns how often the same was applied in a row without ever staying so."""
        key, applied = key_of(desired), (digest(desired), live["metadata"]["uid"], ours(live))
        same = self._applied.get(key, ("",))[0] == applied[0]
        self._repeated[key] = self._repeated.get(key, 0) + 1 if same else 1
        self._applied[key] = applied
        return self._repeated[key]


def digest(manifest: Mapping[str, Any]) -> str:
    """Return a hash of a manifest that does not depend on the order of its keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def ours(live: Mapping[str, Any]) -> str:
    """Return a hash of the fields that the API server says were applied by this operator; empty if none were."""
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return digest(entry.get("fieldsV1") or {})
    return ""


def superfluous(live: Iterable[Mapping[str, Any]], desired: Iterable[Manifest], owner_uid: str) -> list[Manifest]:
    """Return the children to delete: owned by the ledger, once applied by this operator, and wanted no longer.

    What was *created* rather than applied (the Job of one operation, a run's Job and its reports) has a life of its own
    and is not here. Neither are Secrets and StatefulSets, which hold what cannot be made again: `day2` takes nodes down
    one by one. Volume claims never are children in this sense.
    """
    wanted = {key_of(item) for item in desired}
    return [
        dict(item)
        for item in live
        if key_of(item) not in wanted
        and item["kind"] not in ("Secret", "StatefulSet", "PersistentVolumeClaim")
        and owned_by(item, owner_uid)
        and ours(item)
        and not item["metadata"].get("deletionTimestamp")
    ]


def in_order(manifests: Iterable[Manifest]) -> list[tuple[Kind, Manifest]]:
    """Return the manifests in the order in which to apply them, each with its kind."""
    places = {kind: place for place, kind in enumerate(kinds.CHILDREN)}
    pairs = [(kinds.of(manifest), manifest) for manifest in manifests]
    return sorted(pairs, key=lambda pair: places[pair[0]])
