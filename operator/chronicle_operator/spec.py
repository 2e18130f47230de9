"""What a person may write under `spec` of a ChronicleLedger: the one source of the CRD's schema and of its defaults.

Field descriptions become the text of `kubectl explain`. Rules between fields are CEL, next to the fields they guard
(`rules.py` has the ones of the whole spec); the API server enforces them, so that a bad spec is refused when it is
applied and not discovered by the operator later.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chronicle_operator import rules

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=15)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
Image = Annotated[str, Field(min_length=1, max_length=500)]
Quantity = Annotated[
    str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", min_length=1, max_length=30)
]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(s|m|h))+$", max_length=20)]
RunId = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=20)]

COCKROACH_IMAGE = "cockroachdb/cockroach:v24.2.4"
NATS_IMAGE = "nats:2.11.8"
API_IMAGE = "chronicle-ledger:dev"


class Model(BaseModel):
    """camelCase outside, immutable inside. Fields of a newer CRD than this operator knows are ignored.

    Defaults are instances rather than factories, so that they reach the schema; pydantic copies mutable ones.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


def _rules(*chosen: rules.Rule) -> dict[str, Any]:
    return {rules.KEY: [rule.as_dict() for rule in chosen]}


class Reconciliation(StrEnum):
    """What the operator does about the ledger."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    HIBERNATED = "Hibernated"


class DeletionPolicy(StrEnum):
    """What becomes of the volumes when the ledger is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class TlsMode(StrEnum):
    """How certificates come about."""

    MANAGED = "Managed"
    DISABLED = "Disabled"


class Switch(StrEnum):
    """On or off, in words that leave room for a third."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Trigger(StrEnum):
    """What starts a run of the scenarios."""

    MANUAL = "Manual"
    ON_READY = "OnReady"
    SCHEDULED = "Scheduled"


class LocalSecret(Model):
    """A Secret of the ledger's namespace."""

    name: ObjectName


class SecretKey(LocalSecret):
    """One entry of a Secret of the ledger's namespace."""

    key: Annotated[str, Field(min_length=1, max_length=253)]


class Toleration(Model):
    """A Kubernetes toleration."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


class Resources(Model):
    """Requests and limits of a container."""

    requests: Annotated[dict[str, str | int], Field(max_length=10)] | None = None
    limits: Annotated[dict[str, str | int], Field(max_length=10)] | None = None


class Storage(Model):
    """The volume of each pod."""

    model_config = ConfigDict(json_schema_extra=_rules(rules.STORAGE_FIXED))

    size: Quantity = "10Gi"
    storage_class_name: ObjectName | None = Field(default=None, description="Absent: the cluster's default class.")


class BusStorage(Storage):
    """The volume of each NATS server."""

    size: Quantity = "5Gi"


class Region(Model):
    """One region: where its pods run, and how many of each kind."""

    name: DnsLabel = Field(description="Also the value of CockroachDB's locality tier `region`.")
    cockroach_replicas: int = Field(default=1, ge=1, le=9)
    nats_replicas: int = Field(default=1, ge=1, le=5)
    api_replicas: int = Field(
        default=1, ge=1, le=100, description="This region's share of api.replicas, exact where the shares add up to it."
    )
    node_selector: Labels = {}
    tolerations: Annotated[list[Toleration], Field(max_length=20)] = []


class CockroachDB(Model):
    """The database cluster."""

    image: Image = COCKROACH_IMAGE
    replicas: int | None = Field(
        default=None, ge=3, le=45, description="Nodes; 3 when absent, or the sum of the regions' cockroachReplicas."
    )
    storage: Storage = Storage()
    resources: Resources = Resources(requests={"cpu": "500m", "memory": "1Gi"})
    cache: Annotated[str, Field(pattern=r"^([0-9]+%|[0-9]+(Ki|Mi|Gi)B?|\.[0-9]+)$")] = Field(
        default="25%",
        description="Block cache of a node, a share of its memory or a size; the memtable takes 64 MiB of it, so that"
        " less than 128 MiB is hardly any.",
    )
    max_sql_memory: Annotated[str, Field(pattern=r"^([0-9]+%|[0-9]+(Ki|Mi|Gi)B?|\.[0-9]+)$")] = Field(
        default="25%", description="Memory of a node for SQL, a share of its memory or a size."
    )
    termination_grace_period_seconds: int = Field(
        default=300, ge=10, le=3600, description="Seconds in which a stopping node may hand over its leases."
    )
    license_secret_ref: SecretKey | None = Field(
        default=None, description="The CockroachDB licence, which releases from 24.3 on want."
    )


class Nats(Model):
    """The event bus."""

    image: Image = NATS_IMAGE
    replicas: int | None = Field(
        default=None, ge=3, le=25, description="Servers; 3 when absent, or the sum of the regions' natsReplicas."
    )
    storage: BusStorage = BusStorage()
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"})


class Autoscaling(Model):
    """A HorizontalPodAutoscaler for each API Deployment; `api.replicas` then counts no longer."""

    model_config = ConfigDict(json_schema_extra=_rules(rules.AUTOSCALING_BOUNDS))

    min_replicas: int = Field(default=2, ge=1, le=100, description="For each region.")
    max_replicas: int = Field(default=10, ge=1, le=100, description="For each region.")
    target_cpu_utilization: int = Field(default=70, ge=10, le=100, description="Per cent of the CPU request.")


class Auth(Model):
    """Who may call the API."""

    mode: Annotated[str, Field(json_schema_extra={"enum": ["Keys", "Open"]})] = Field(
        default="Keys", description="Keys: bearer keys, an admin key is made into a Secret. Open: anybody, for trials."
    )


class Api(Model):
    """The HTTP API, and the image of everything that is ours: relay, projector, migrations, scenarios."""

    image: Image = API_IMAGE
    image_pull_policy: Annotated[str, Field(json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]})] = (
        "IfNotPresent"
    )
    replicas: int = Field(default=3, ge=0, le=1000, description="In all regions together; what `kubectl scale` sets.")
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "192Mi"})
    auth: Auth = Auth()
    autoscaling: Autoscaling | None = None
    database_pool_size: int = Field(default=8, ge=2, le=500, description="Connections of each replica.")
    statement_timeout: Duration = Field(default="3s", description="Longest time one SQL statement may take.")
    request_deadline: Duration = Field(default="8s", description="Longest time one request may take, retries included.")


class Events(Model):
    """Relay (outbox to stream) and projector (stream to read model)."""

    relay_replicas: int = Field(default=2, ge=1, le=16)
    projector_replicas: int = Field(default=2, ge=1, le=16)
    resources: Resources = Resources(requests={"cpu": "50m", "memory": "128Mi"})


class Tls(Model):
    """Encryption between all parts, and towards callers."""

    model_config = ConfigDict(json_schema_extra=_rules(rules.TLS_MODE_FIXED))

    mode: TlsMode = Field(
        default=TlsMode.MANAGED, description="Managed: the operator is the authority. Disabled: for trials."
    )


class ScenarioChoice(Model):
    """One scenario of a run."""

    model_config = ConfigDict(json_schema_extra=_rules(*rules.OF_SCENARIO))

    name: rules.ScenarioName
    duration: Duration | None = Field(
        default=None, description="How long the fault lasts. Absent: as long as the scenario itself says (10 to 45 s)."
    )
    recovery_deadline: Duration | None = Field(
        default=None, description="How long the ledger may take to be steady again. Absent: 180s."
    )


class Resilience(Model):
    """Failure scenarios, run on this very ledger by Chaos Mesh."""

    model_config = ConfigDict(json_schema_extra=_rules(rules.SCHEDULE_NEEDED, rules.SCHEDULE_UNUSED))

    trigger: Trigger = Field(
        default=Trigger.MANUAL,
        description=(
            "Manual: when runID changes. OnReady: once a change of the workloads' images or settings. Scheduled: by"
            " schedule. A new runID starts a run under each of them; one asked for during a run waits for its end."
        ),
    )
    schedule: Annotated[str, Field(min_length=9, max_length=100)] | None = Field(
        default=None, description="Five fields of cron, UTC. After a downtime one run takes the place of all missed."
    )
    run_id: RunId | None = Field(default=None, alias="runID", description="Manual: a new value starts a run.")
    scenarios: Annotated[list[ScenarioChoice], Field(max_length=5)] = Field(
        default=[ScenarioChoice(name=name) for name in rules.SCENARIOS],
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    rate: int = Field(default=30, ge=1, le=10_000, description="Requests a second of the load during a run.")
    keep_reports: int = Field(default=3, ge=1, le=20, description="Reports of so many runs are kept.")


class ChronicleLedgerSpec(Model):
    """A double-entry ledger on CockroachDB and NATS JetStream."""

    model_config = ConfigDict(json_schema_extra=_rules(*rules.OF_SPEC))

    reconciliation: Reconciliation = Field(
        default=Reconciliation.ACTIVE,
        description="Active: what differs is mended. Paused: nothing is touched. Hibernated: no pod runs, data stays.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN, description="What becomes of the volumes when this resource is deleted."
    )
    regions: Annotated[list[Region], Field(max_length=5, min_length=1)] | None = Field(
        default=None,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Absent: one region, no placement.",
    )
    cockroachdb: CockroachDB = CockroachDB()
    nats: Nats = Nats()
    api: Api = Api()
    events: Events = Events()
    tls: Tls = Tls()
    network_policy: Switch = Switch.ENABLED
    image_pull_secrets: Annotated[list[LocalSecret], Field(max_length=10)] = []
    resilience: Resilience = Resilience()

    @property
    def hibernated(self) -> bool:
        """Whether no pod shall run."""
        return self.reconciliation is Reconciliation.HIBERNATED

    @property
    def tls_managed(self) -> bool:
        """Whether everything speaks TLS."""
        return self.tls.mode is TlsMode.MANAGED

    def cockroach_total(self) -> int:
        """Return the number of database nodes wanted in all regions."""
        return _total(self.cockroachdb.replicas, [it.cockroach_replicas for it in self.regions or ()])

    def nats_total(self) -> int:
        """Return the number of NATS servers wanted in all regions."""
        return _total(self.nats.replicas, [it.nats_replicas for it in self.regions or ()])


def _total(replicas: int | None, regional: Sequence[int]) -> int:
    return sum(regional) or replicas or 3


def seconds(duration: str) -> float:
    """Return a `Duration` in seconds: `1m30s` is 90. Raises ValueError where it is none."""
    units = {"s": 1, "m": 60, "h": 3600}
    total, number = 0, ""
    for letter in duration:
        if letter.isdecimal():
            number += letter
        elif letter in units and number:
            total += int(number) * units[letter]
            number = ""
        else:
            break
    if number or not total:
        raise ValueError(f"{duration!r} is no duration: write it as 90s, 5m or 1h30m, and above zero")
    return float(total)
