"""Rules of the CRD in CEL, each with the sentence that `kubectl apply` shows when it refuses.

Sizes of lists are bounded in the schema (`maxItems`), without which the API server would refuse these rules for their
estimated cost. Transition rules (`oldSelf`) stand on fields that always exist, since an optional one would skip them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

KEY = "x-kubernetes-validations"

# In the order in which they run, which is the engine's own: what a partition leaves behind takes longest to settle.
ScenarioName = Literal[
    "concurrent-withdrawals", "nats-outage", "api-crash", "cockroach-node-failure", "network-partition"
]
SCENARIOS: tuple[ScenarioName, ...] = get_args(ScenarioName)


@dataclass(frozen=True)
class Rule:
    """One rule: CEL that must be true, and what to say where it is not."""

    rule: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """Return it as the CRD spells it."""
        return {"rule": self.rule, "message": self.message}


SHORTEST_SECONDS: dict[ScenarioName, int] = {
    "concurrent-withdrawals": 3,
    "nats-outage": 10,
    "api-crash": 12,
    "cockroach-node-failure": 30,
    "network-partition": 35,
}
"""The shortest window in which each scenario can be judged: the engine's `least_window_seconds`, which has the reasons
and which a test holds this against."""


def _sum(field: str) -> str:
    return f"self.regions.map(r, r.{field}).sum()"


STORAGE_FIXED = Rule("self == oldSelf", "storage cannot be changed after creation: a StatefulSet's claims are fixed")
LONGEST_DEADLINE = "1h"
"""What the service takes as its longest time-out; a test holds it against the service's own settings."""

LONGEST_SCENARIO = "24h"
SMALLEST_VOLUME = "1Mi"

STORAGE_SIZE = Rule(
    f"isQuantity(self.size) && quantity(self.size).compareTo(quantity('{SMALLEST_VOLUME}')) >= 0",
    f"storage.size must be at least {SMALLEST_VOLUME}: write it as 10Gi or 500M",
)
REQUESTS_WITHIN_LIMITS = Rule(
    "!has(self.requests) || !has(self.limits) || self.requests.all(it, !(it in self.limits)"
    " || quantity(string(self.requests[it])).compareTo(quantity(string(self.limits[it]))) <= 0)",
    "resources.requests must not exceed resources.limits: no pod could be made of them",
)
STATEMENT_TIMEOUT = Rule(
    "duration(self.statementTimeout) > duration('0s')"
    " && duration(self.statementTimeout) < duration(self.requestDeadline)",
    "api.statementTimeout must be above zero and shorter than api.requestDeadline: no retry would fit into a request",
)
REQUEST_DEADLINE = Rule(
    f"duration(self.requestDeadline) <= duration('{LONGEST_DEADLINE}')",
    f"api.requestDeadline must be at most {LONGEST_DEADLINE}: the service takes no longer one",
)
TLS_MODE_FIXED = Rule(
    "self.mode == oldSelf.mode",
    "tls.mode cannot be changed after creation: half of the nodes would not understand the other half",
)
AUTOSCALING_BOUNDS = Rule("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas must not exceed maxReplicas")
SCHEDULE_NEEDED = Rule(
    "self.trigger != 'Scheduled' || has(self.schedule)",
    "resilience.trigger Scheduled needs resilience.schedule, for example '0 3 * * 0'",
)
SCHEDULE_UNUSED = Rule(
    "!has(self.schedule) || self.trigger == 'Scheduled'",
    "resilience.schedule has no effect unless resilience.trigger is Scheduled",
)

ONE_DESTINATION = Rule(
    "has(self.url) != has(self.claim)",
    "a destination is either a url (s3://BUCKET/PREFIX, gs://…, az://…) or a claim: give one of them",
)
RETENTION_AGE = Rule(
    "!has(self.age) || duration(self.age) >= duration('1h')",
    "retention.age must be at least 1h: write it as 720h for 30 days",
)
ONE_SOURCE = Rule(
    "has(self.backup) != has(self.destination)",
    "restoreFrom needs either backup, the name of a ChronicleLedgerBackup, or destination: give one of them",
)
ID_OF_DESTINATION = Rule(
    "!has(self.id) || has(self.destination)",
    "restoreFrom.id chooses among the backups of restoreFrom.destination; a ChronicleLedgerBackup names its own",
)
BACKUP_FIXED = Rule("self == oldSelf", "a backup's spec cannot be changed: what is asked for is another backup")

OF_SCENARIO: tuple[Rule, ...] = (
    *(
        Rule(
            f"self.name != '{name}' || !has(self.duration) || duration(self.duration) >= duration('{least}s')",
            f"{name} needs a duration of at least {least}s: a shorter one cannot be judged; leave it out for its own",
        )
        for name, least in SHORTEST_SECONDS.items()
    ),
    Rule(
        "!has(self.recoveryDeadline) || duration(self.recoveryDeadline) >= duration('1s')",
        "recoveryDeadline must be above zero: write it as 90s, 5m or 1h30m",
    ),
    *(
        Rule(
            f"!has(self.{field}) || duration(self.{field}) <= duration('{LONGEST_SCENARIO}')",
            f"{field} must be at most {LONGEST_SCENARIO}: a run is given up after all of its deadlines",
        )
        for field in ("duration", "recoveryDeadline")
    ),
)

OF_SPEC: tuple[Rule, ...] = (
    Rule(
        f"!has(self.regions) || {_sum('cockroachReplicas')} >= 3",
        "the regions' cockroachReplicas must add up to at least 3: with fewer nodes one failure stops all writes",
    ),
    Rule(
        "!has(self.regions) || !has(self.cockroachdb.replicas)"
        f" || self.cockroachdb.replicas == {_sum('cockroachReplicas')}",
        "with regions, cockroachdb.replicas must be the sum of their cockroachReplicas, or be left out",
    ),
    Rule(
        f"!has(self.regions) || ({_sum('natsReplicas')} >= 3 && {_sum('natsReplicas')} % 2 == 1)",
        "the regions' natsReplicas must add up to an odd number of at least 3: JetStream decides by majority",
    ),
    Rule(
        f"!has(self.regions) || !has(self.nats.replicas) || self.nats.replicas == {_sum('natsReplicas')}",
        "with regions, nats.replicas must be the sum of their natsReplicas, or be left out",
    ),
    Rule(
        "!has(self.nats.replicas) || self.nats.replicas % 2 == 1",
        "nats.replicas must be odd: JetStream decides by majority",
    ),
    Rule(
        # A StatefulSet lets all surplus pods go at once, and JetStream goes on counting them among its peers.
        "has(self.regions) != has(oldSelf.regions) || (has(self.regions)"
        " ? self.regions.all(r, oldSelf.regions.all(o, o.name != r.name || r.natsReplicas >= o.natsReplicas))"
        " : (has(self.nats.replicas) ? self.nats.replicas : 3)"
        " >= (has(oldSelf.nats.replicas) ? oldSelf.nats.replicas : 3))",
        "the number of NATS servers cannot be lowered, in no region: nobody would move the streams' copies off them",
    ),
    Rule(
        # A region's API has a headless Service of this name, and the other region's Service would be called the same.
        "!has(self.regions) || self.regions.all(r, !self.regions.exists(o, o.name == r.name + '-instances'))",
        "no region may be named as another one with '-instances' behind it: both would make the same Service",
    ),
    Rule(
        "!has(self.bootstrap) || has(oldSelf.bootstrap)",
        "bootstrap cannot be added after creation: only an empty ledger is restored; make another one",
    ),
    Rule(
        "has(self.regions) == has(oldSelf.regions)",
        "regions cannot be introduced or given up after creation: nodes and their data would have to move",
    ),
    Rule(
        "!has(self.regions) || !has(oldSelf.regions) || "
        "(self.regions.all(r, oldSelf.regions.exists(o, o.name == r.name))"
        " && oldSelf.regions.all(o, self.regions.exists(r, r.name == o.name)))",
        "regions cannot be added, removed or renamed after creation; their replica counts can change",
    ),
)
