"""The figures of each component in the status (`status_model.py` declares them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chronicle_contract.labels import COMPONENT, INSTANCE
from chronicle_operator.day2.operations import BUS, DATABASE, Operation
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.resources import names
from chronicle_operator.status.assess import ready_pods
from chronicle_operator.status.conditions import timestamp


def figures(
    seen: Observation, wanted: Desired, operations: Sequence[Operation], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return the fields of the status that are figures. A figure nobody knows is left out."""
    health = seen.health
    old: Mapping[str, Any] = seen.ledger.get("status") or {}
    database = _component(seen, "StatefulSet", DATABASE, wanted.spec.cockroachdb.image)
    bus = _component(seen, "StatefulSet", BUS, wanted.spec.nats.image)
    service = _component(seen, "Deployment", "api", wanted.spec.api.image)
    service["selector"] = f"{INSTANCE}={name(seen.ledger)},{COMPONENT}=api"
    service["url"] = wanted.health_url.removesuffix("/health")
    if seen.nodes is not None:
        database |= {
            "nodesLive": len(seen.nodes.answered),
            "nodesTotal": len(seen.nodes.by_pod),
            "rangesUnderreplicated": seen.nodes.underreplicated,
            "rangesUnavailable": seen.nodes.unavailable,
        }
    if health is not None:
        service |= {"version": health.version, "sabotage": health.sabotage}
    database["operation"] = _operation(DATABASE, operations, old.get("cockroachdb"), now)
    bus["operation"] = _operation(BUS, operations, old.get("nats"), now)
    found = {"cockroachdb": _known(database), "nats": _known(bus), "api": _known(service)}
    if wanted.expires is not None:
        secret = names.api_certificate(name(seen.ledger))
        found["certificates"] = {"expires": timestamp(wanted.expires), "secretName": secret}
    return found


def _component(seen: Observation, kind: str, component: str, image: str) -> dict[str, Any]:
    ready, wanted = ready_pods(seen.of(kind, component))
    return {"replicas": wanted, "readyReplicas": ready, "summary": f"{ready}/{wanted}", "image": image}


def _operation(
    component: str, operations: Sequence[Operation], before: Mapping[str, Any] | None, now: datetime
) -> dict[str, Any] | None:
    current = next((it for it in operations if it.component == component), None)
    if current is None:
        return None
    old = (before or {}).get("operation") or {}
    same = old.get("type") == current.type
    return _known(
        {
            "type": current.type,
            "pod": current.pod,
            "message": current.message,
            "startTime": old.get("startTime") if same else timestamp(now),
        }
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
