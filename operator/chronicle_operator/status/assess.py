"""Judge an observation: which conditions hold, and the figures of each component for the status.

Pure functions of what was observed. `Ready` is the summary of the four component conditions: it says that everything
the spec asks for is there, not merely that the ledger can serve (with two of three database nodes it can, and is not
`Ready`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import is_observed
from chronicle_operator.status.causes import LIMIT, causes, with_causes
from chronicle_operator.status.conditions import Condition, shorten

SUMMED_UP = ("CockroachReady", "NatsReady", "ApiReady", "CertificatesReady")
API_COMPONENTS = ("api", "relay", "projector")


def cockroach(seen: Observation) -> Condition:
    """Whether every database node is ready, and no range is without a quorum."""
    condition = _stateful(seen, "CockroachReady", "cockroachdb", "database nodes")
    unavailable = seen.nodes.unavailable if seen.nodes else None
    if condition.status == "True" and unavailable:
        return Condition(condition.type, "False", "RangesUnavailable", f"{unavailable} ranges have lost their quorum")
    return condition


def nats(seen: Observation) -> Condition:
    """Whether every NATS server is ready."""
    return _stateful(seen, "NatsReady", "nats", "NATS servers")


def api(seen: Observation, *, waiting: bool, migrating: bool = False, restoring: bool = False) -> Condition:
    """Whether every replica of the API, the relay and the projector is available and of the latest template.

    `waiting`: something is held back until the schema that it needs is there. `migrating`: the Job that makes the
    schema has not done its work. While it is at work, that takes nothing from a ledger that serves. `restoring`: a
    backup is to be put back and proven first.
    """
    deployments = [it for component in API_COMPONENTS for it in seen.of("Deployment", component)]
    kind = "ApiReady"
    if restoring and not migrating:
        said = "starts when the backup is put back and proven: the condition Restored says how that goes"
        return Condition(kind, "False", "Restoring", with_causes(said, seen, ("restore",)))
    if not seen.of("Deployment", "api"):
        return Condition(
            kind,
            "False",
            "Starting",
            with_causes("waits for the database and its schema", seen, ("init", "migration")),
        )
    wanted = sum(int(it["spec"].get("replicas", 1)) for it in deployments)
    ready = sum(_rolled_out(it) for it in deployments)
    message = f"{ready} of {wanted} replicas of API, relay and projector are ready"
    if waiting:
        return Condition(
            kind,
            "False",
            "SchemaPending",
            with_causes(f"{message}; a new image waits for its schema", seen, ("migration",)),
        )
    if migrating and (stuck := causes(seen, ("migration",))):
        said = shorten(f"{message}; the Job that migrates the schema does not get on: {'; '.join(stuck)}", LIMIT)
        return Condition(kind, "False", "SchemaPending", said)
    if all(map(is_observed, deployments)) and ready >= wanted:
        if seen.health is not None and seen.health.status == "down":
            return Condition(kind, "False", "LedgerDown", "GET /health says that the ledger is down")
        return Condition(kind, "True", "AllReplicasReady", message)
    return Condition(kind, "False", "ReplicasMissing", with_causes(message, seen, (*API_COMPONENTS, "migration")))


def summary(conditions: Iterable[Condition]) -> Condition:
    """Return `Ready` from the others."""
    bad = [it for it in conditions if it.type in SUMMED_UP and it.status != "True"]
    if not bad:
        return Condition("Ready", "True", "AllReady", "database, bus, API and certificates are as the spec wants them")
    reason = bad[0].reason if len(bad) == 1 else "ComponentsNotReady"
    return Condition("Ready", "False", reason, "; ".join(f"{it.type}: {it.message}" for it in bad))


def hibernated(seen: Observation) -> list[Condition]:
    """Return the conditions of a ledger that was put to sleep."""
    left = sum(1 for it in seen.pods if (it.get("status") or {}).get("phase") not in ("Succeeded", "Failed"))
    message = f"{left} pods are still stopping" if left else "no pod runs; the volumes are kept"
    types = ("CockroachReady", "NatsReady", "ApiReady")
    return [
        *(Condition(kind, "False", "Hibernated", message) for kind in types),
        Condition("Ready", "False", "Hibernated", f"{message}; set spec.reconciliation to Active to wake it"),
    ]


def ready_pods(sets: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Return ready and wanted pods over some StatefulSets or Deployments. One that is to go is not counted as ready."""
    items = list(sets)
    wanted = [int(it["spec"].get("replicas", 1)) for it in items]
    ready = [int((it.get("status") or {}).get("readyReplicas") or 0) for it in items]
    return sum(map(min, ready, wanted)), sum(wanted)


def _stateful(seen: Observation, kind: str, component: str, what: str) -> Condition:
    sets = seen.of("StatefulSet", component)
    if not sets:
        return Condition(kind, "False", "Starting", f"no {what} yet")
    ready, wanted = ready_pods(sets)
    message = f"{ready} of {wanted} {what} are ready"
    if ready >= wanted and all(map(is_observed, sets)):
        return Condition(kind, "True", "AllReady", message)
    return Condition(kind, "False", "PodsNotReady", with_causes(message, seen, (component,)))


def _rolled_out(deployment: Mapping[str, Any]) -> int:
    status = deployment.get("status") or {}
    return min(int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0))
