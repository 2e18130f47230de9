"""Specs that the tests of builders, certificates and the CRD share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.resources import LedgerContext

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"


def regions(*counts: int) -> list[dict[str, Any]]:
    """Return regions with these many database nodes and NATS servers each."""
    return [
        {"name": f"region-{letter}", "cockroachReplicas": count, "natsReplicas": count, "apiReplicas": count}
        for letter, count in zip("abcde", counts, strict=False)
    ]


EVERYTHING: dict[str, Any] = {
    "reconciliation": "Active",
    "deletionPolicy": "Delete",
    "regions": [
        {
            **regions(2, 1)[0],
            "nodeSelector": {"topology.kubernetes.io/region": "region-a"},
            "tolerations": [{"key": "ledger", "operator": "Exists", "effect": "NoSchedule"}],
        },
        regions(2, 1)[1],
    ],
    "cockroachdb": {
        "image": "cockroachdb/cockroach:v20.1.17",
        "storage": {"size": "20Gi", "storageClassName": "fast"},
        "resources": {"requests": {"cpu": 2, "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
        "licenseSecretRef": {"name": "licence", "key": "key"},
    },
    "nats": {"storage": {"size": "500M", "storageClassName": "fast"}},
    "api": {"replicas": 5, "autoscaling": {"minReplicas": 2, "maxReplicas": 4}, "auth": {"mode": "Keys"}},
    "imagePullSecrets": [{"name": "registry"}],
    "resilience": {"trigger": "Scheduled", "schedule": "0 3 * * 0", "keepReports": 2},
}


def context(spec: dict[str, Any] | None = None, *, name: str = "books", hashes: bool = True) -> LedgerContext:
    """Return the builders' input for a spec; hashes of Secrets are made up, and stay the same."""
    found = {
        f"{name}-{secret}": f"hash-of-{secret}"
        for secret in (
            "nats-auth",
            "nats-auth-api",
            "nats-auth-relay",
            "nats-auth-projector",
            "nats-tls",
            "cockroachdb-node",
            "api-tls",
            "api-keys",
        )
    }
    model = ChronicleLedgerSpec.model_validate(spec or {})
    licence = "hash-of-licence" if model.cockroachdb.license_secret_ref else None
    return LedgerContext(name, "finance", "6f3c1b1e", model, found if hashes else {}, licence)
