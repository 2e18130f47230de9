"""Hand the number of a Deployment's replicas over to its autoscaler without a moment in which nobody holds it.

With an autoscaler the builders leave `replicas` out. As long as this operator is the only one who ever set the field,
leaving it out has server-side apply remove it, and the default is one replica: a ledger in use would be down to that
until the autoscaler has looked. So the live number is applied on, until somebody else has set the field.
(Kubernetes documentation, "Server-Side Apply", section "Transferring ownership".)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_contract.labels import MANAGER
from chronicle_kube.api import Manifest
from chronicle_operator.kube import kinds
from chronicle_operator.reconcile.apply import Key, key_of


def hand_over(manifests: Sequence[Manifest], live: Mapping[Key, Mapping[str, Any]]) -> list[Manifest]:
    """Return the manifests, with replicas where an autoscaler is to have them and does not have them yet.

    Never below the autoscaler's minimum: from zero, where a hibernation leaves it, an autoscaler does nothing at all.
    """
    least = {
        (kinds.DEPLOYMENT.kind, it["metadata"]["namespace"], it["spec"]["scaleTargetRef"]["name"]): int(
            it["spec"]["minReplicas"]
        )
        for it in manifests
        if it["kind"] == "HorizontalPodAutoscaler"
    }

    def held(manifest: Manifest) -> Manifest:
        key = key_of(manifest)
        found = live.get(key)
        if key not in least or "replicas" in manifest["spec"] or (found is not None and _is_taken(found)):
            return manifest
        now = int((found or {}).get("spec", {}).get("replicas", 0))
        return {**manifest, "spec": {**manifest["spec"], "replicas": max(now, least[key])}}

    return [held(it) for it in manifests]


def _is_taken(live: Mapping[str, Any]) -> bool:
    """Whether anybody but this operator's applies has set the replicas."""
    return any(
        "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
        if not (entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"))
    )
