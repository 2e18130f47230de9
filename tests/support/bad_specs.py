"""A bad spec for every rule of the CRD, with the words by which the refusal is known from all others.

The unit tests hold the list against the CRD, so that no rule is left out; `make e2e` has the API server refuse each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chronicle_operator.crd.rules import SHORTEST_SECONDS


@dataclass(frozen=True)
class BadSpec:
    """What is wrong, and what the API server says: `words` of a message, and `at` which field (empty: the whole).

    `change` is merged into the spec of the sample `two-regions` as it is after creation; with `new`, it is the spec of
    a ledger of that name that is about to be created.
    """

    words: str
    at: str
    change: Mapping[str, Any]
    new: str | None = None


def counts(**regions: tuple[int, int]) -> dict[str, Any]:
    """Return regions with these numbers of database nodes and NATS servers."""
    return {
        "regions": [
            {"name": name.replace("_", "-"), "cockroachReplicas": nodes, "natsReplicas": servers}
            for name, (nodes, servers) in regions.items()
        ]
    }


TOO_MUCH = {"requests": {"cpu": 2, "memory": "1G"}, "limits": {"cpu": "1999m", "memory": "1Gi"}}

ALONE = {"name": "alone", "cockroachReplicas": 3, "natsReplicas": 3}

CLAIM = {"claim": {"claimName": "backups"}}
BOTH = {**CLAIM, "url": "s3://bucket/ledger"}

BY_RULE = (
    BadSpec("metadata.name must begin with a letter", "", {}, new="a-name-of-more-than-24-letters"),
    BadSpec("cockroachReplicas must add up to at least 3", "spec", counts(region_a=(1, 2), region_b=(1, 1))),
    BadSpec("cockroachdb.replicas must be the sum", "spec", {"cockroachdb": {"replicas": 5}}),
    BadSpec("natsReplicas must add up to an odd number", "spec", counts(region_a=(2, 3), region_b=(1, 1))),
    BadSpec("nats.replicas must be the sum", "spec", {"nats": {"replicas": 5}}),
    BadSpec("nats.replicas must be odd", "spec", {"nats": {"replicas": 4}}, new="even"),
    BadSpec("NATS servers cannot be lowered", "spec", counts(region_a=(2, 1), region_b=(1, 2))),
    BadSpec("regions cannot be introduced or given up", "spec", {"regions": None}),
    BadSpec("regions cannot be added, removed or renamed", "spec", counts(region_a=(2, 2), region_c=(1, 1))),
    BadSpec(
        "as another one with '-instances' behind it",
        "spec",
        counts(eu=(2, 2), eu_instances=(1, 1)),
        new="twice",
    ),
    *(
        BadSpec("requests must not exceed", f"spec.{part}.resources", {part: {"resources": TOO_MUCH}})
        for part in ("cockroachdb", "nats", "api", "events")
    ),
    *(
        BadSpec("must be at least 1Mi", f"spec.{part}.storage", {part: {"storage": {"size": "0"}}}, new="empty")
        for part in ("cockroachdb", "nats")
    ),
    BadSpec("statementTimeout must be above zero", "spec.api", {"api": {"statementTimeout": "8s"}}),
    BadSpec(
        "requestDeadline must be at most 1h", "spec.api", {"api": {"statementTimeout": "1h", "requestDeadline": "2h"}}
    ),
    BadSpec("storage cannot be changed", "spec.cockroachdb.storage", {"cockroachdb": {"storage": {"size": "5Gi"}}}),
    BadSpec("storage cannot be changed", "spec.nats.storage", {"nats": {"storage": {"size": "7Gi"}}}),
    BadSpec("tls.mode cannot be changed", "spec.tls", {"tls": {"mode": "Disabled"}}),
    BadSpec(
        "minReplicas must not exceed maxReplicas",
        "spec.api.autoscaling",
        {"api": {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}},
    ),
    BadSpec("Scheduled needs resilience.schedule", "spec.resilience", {"resilience": {"trigger": "Scheduled"}}),
    BadSpec(
        "resilience.schedule has no effect",
        "spec.resilience",
        {"resilience": {"trigger": "Manual", "schedule": "0 3 * * 0"}},
    ),
    *(
        BadSpec(
            f"{name} needs a duration of at least",
            "spec.resilience.scenarios",
            {"resilience": {"scenarios": [{"name": name, "duration": "1s"}]}},
        )
        for name in SHORTEST_SECONDS
    ),
    BadSpec(
        "recoveryDeadline must be above zero",
        "spec.resilience.scenarios",
        {"resilience": {"scenarios": [{"name": "api-crash", "recoveryDeadline": "0s"}]}},
    ),
    *(
        BadSpec(
            f"{field} must be at most 24h",
            "spec.resilience.scenarios",
            {"resilience": {"scenarios": [{"name": "api-crash", field: "25h"}]}},
        )
        for field in ("duration", "recoveryDeadline")
    ),
    BadSpec(
        "bootstrap cannot be added after creation", "spec", {"bootstrap": {"restoreFrom": {"backup": "last-night"}}}
    ),
    BadSpec("either a url", "spec.backup.destination", {"backup": {"destination": BOTH}}),
    BadSpec(
        "either a url",
        "spec.bootstrap.restoreFrom.destination",
        {"bootstrap": {"restoreFrom": {"destination": BOTH}}},
        new="twofold",
    ),
    BadSpec(
        "retention.age must be at least 1h",
        "spec.backup.retention",
        {"backup": {"destination": CLAIM, "retention": {"age": "59m"}}},
    ),
    BadSpec(
        "needs either backup",
        "spec.bootstrap.restoreFrom",
        {"bootstrap": {"restoreFrom": {"to": "2026-01-31T09:00:00Z"}}},
        new="sourceless",
    ),
    BadSpec(
        "chooses among the backups",
        "spec.bootstrap.restoreFrom",
        {"bootstrap": {"restoreFrom": {"backup": "last-night", "id": "20260131T090000000000Z-1f3a9c04"}}},
        new="overdetermined",
    ),
)
"""One for each rule in CEL. All of them fit the schema, without which the API server would not look at the rules."""

BY_SCHEMA = (
    BadSpec("should be greater than or equal to 3", "spec.cockroachdb.replicas", {"cockroachdb": {"replicas": 1}}),
    BadSpec("must be of type integer", "spec.api.replicas", {"api": {"replicas": "three"}}),
    BadSpec("supported values", "spec.reconciliation", {"reconciliation": "Perhaps"}),
    *(
        BadSpec("should match", f"spec.cockroachdb.{field}", {"cockroachdb": {field: value}})
        for field in ("cache", "maxSqlMemory")
        for value in ("0%", "100%", "0MiB", ".0", ".01", ".995", "1.5Gi")
    ),
    BadSpec("should match", "spec.nats.storage.size", {"nats": {"storage": {"size": "-5Gi"}}}, new="negative"),
    BadSpec("should match", "spec.nats.storage.size", {"nats": {"storage": {"size": "9000000000m"}}}, new="milli"),
    BadSpec("should match", "storageClassName", {"nats": {"storage": {"storageClassName": "A b"}}}, new="classless"),
    BadSpec("should match", "nodeSelector", {"regions": [{**ALONE, "nodeSelector": {"zone": "a b"}}]}, new="nowhere"),
    BadSpec(
        "supported values", "effect", {"regions": [{**ALONE, "tolerations": [{"effect": "No"}]}]}, new="intolerant"
    ),
    BadSpec(
        "should match",
        "spec.backup.destination.url",
        {"backup": {"destination": {"url": "file:///etc"}}},
    ),
    BadSpec(
        "should match",
        "spec.backup.destination.claim.path",
        {"backup": {"destination": {"claim": {"claimName": "backups", "path": "../others"}}}},
    ),
    BadSpec(
        "should match", "key", {"cockroachdb": {"licenseSecretRef": {"name": "licence", "key": "a/b"}}}, new="keyless"
    ),
)
"""What the schema itself refuses."""
