"""What may be created already: nobody is started who could only crash for want of what comes before.

This holds back *creation* alone. What exists is kept as the spec wants it whatever else is broken: an API that runs is
never taken away because a database node is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chronicle_operator.apply import Manifest, key_of
from chronicle_operator.observe import COMPONENT, Observation, labels

INIT = "cockroachdb-init"
MIGRATE = "migrate"


def due(manifests: Iterable[Manifest], seen: Observation) -> list[Manifest]:
    """Return the manifests to apply now."""
    present = {key_of(item) for item in seen.children}
    return [it for it in manifests if key_of(it) in present or _may_start(it, seen)]


def _may_start(manifest: Manifest, seen: Observation) -> bool:
    if manifest["kind"] not in ("Job", "Deployment"):
        return True
    component = labels(manifest).get(COMPONENT, "")
    gate = _GATES.get(component)
    return gate is None or gate(seen)


def is_complete(job: Mapping[str, Any]) -> bool:
    """Whether a Job has done its work."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(it.get("type") == "Complete" and it.get("status") == "True" for it in conditions)


def _initialized(seen: Observation) -> bool:
    return any(map(is_complete, seen.of("Job", INIT)))


def _migrated(seen: Observation) -> bool:
    return any(map(is_complete, seen.of("Job", MIGRATE)))


_GATES: dict[str, Callable[[Observation], bool]] = {
    MIGRATE: _initialized,
    "api": _migrated,
    "relay": _migrated,
    "projector": _migrated,
}
