"""What a person may write under `spec` of a ChronicleLedger: the one source of the CRD's schema and of its defaults.

Field descriptions become the text of `kubectl explain`. Rules between fields are CEL, next to the fields they guard
(`rules.py` has the ones of the whole spec); the API server enforces them, so that a bad spec is refused when it is
applied and not discovered by the operator later.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chronicle_operator.crd import rules

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=15)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
Image = Annotated[str, Field(min_length=1, max_length=500)]
Quantity = Annotated[
    str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", min_length=1, max_length=30)
]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(s|m|h))+$", max_length=20)]
RunId = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=20)]
Memory = Annotated[
    str, Field(pattern=r"^([1-9][0-9]?%|[1-9][0-9]*(Ki|Mi|Gi)B?|\.(0[2-9]|[1-9][0-9]?))$", max_length=20)
]
"""A share (1% to 99%, .02 to .99) or a size: what CockroachDB takes. Other shares end its pods at their start."""


COCKROACH_IMAGE = "cockroachdb/cockroach:v25.2.21"
"""A long-term release (docs/support.md). It wants a licence key after seven days."""
NATS_IMAGE = "nats:2.15.1"
API_IMAGE = "chronicle-ledger:dev"


class Model(BaseModel):
    """camelCase outside, immutable inside. Fields of a newer CRD than this operator knows are ignored.

    Defaults are instances rather than factories, so that they reach the schema; pydantic copies mutable ones.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


def marked(*chosen: rules.Rule) -> dict[str, Any]:
    """Return rules as a model carries them into its schema."""
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

    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]


class Toleration(Model):
    """A Kubernetes toleration."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Resources(Model):
    """Requests and limits of a container. What is given replaces the default as a whole."""

    model_config = ConfigDict(json_schema_extra=marked(rules.REQUESTS_WITHIN_LIMITS))

    requests: Annotated[dict[str, str | int], Field(max_length=6)] | None = None
    limits: Annotated[dict[str, str | int], Field(max_length=6)] | None = None


class Storage(Model):
    """The volume of each pod."""

    model_config = ConfigDict(json_schema_extra=marked(rules.STORAGE_SIZE, rules.STORAGE_FIXED))

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
    resources: Resources = Resources(requests={"cpu": "500m", "memory": "1Gi"}, limits={"cpu": "2", "memory": "2Gi"})
    cache: Memory = Field(
        default="25%",
        description="Block cache of a node, a share of its memory limit or a size; the memtable takes 64 MiB of it, so"
        " that less than 128 MiB is hardly any.",
    )
    max_sql_memory: Memory = Field(
        default="25%", description="Memory of a node for SQL, a share of its memory limit or a size."
    )
    termination_grace_period_seconds: int = Field(
        default=60, ge=10, le=3600, description="Seconds in which a stopping node may hand over its leases."
    )
    license_secret_ref: SecretKey | None = Field(
        default=None,
        description="The CockroachDB licence. Without one, v24.1.7, v24.2.5 and later throttle a cluster after 7 days.",
    )


class Nats(Model):
    """The event bus."""

    image: Image = NATS_IMAGE
    replicas: int | None = Field(
        default=None, ge=3, le=25, description="Servers; 3 when absent, or the sum of the regions' natsReplicas."
    )
    storage: BusStorage = BusStorage()
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "1Gi"})


class Autoscaling(Model):
    """A HorizontalPodAutoscaler for each API Deployment; `api.replicas` then counts no longer."""

    model_config = ConfigDict(json_schema_extra=marked(rules.AUTOSCALING_BOUNDS))

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

    model_config = ConfigDict(json_schema_extra=marked(rules.STATEMENT_TIMEOUT, rules.REQUEST_DEADLINE))

    image: Image = API_IMAGE
    image_pull_policy: Annotated[str, Field(json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]})] = (
        "IfNotPresent"
    )
    replicas: int = Field(default=3, ge=0, le=1000, description="In all regions together; what `kubectl scale` sets.")
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "192Mi"}, limits={"cpu": "1", "memory": "1Gi"})
    auth: Auth = Auth()
    autoscaling: Autoscaling | None = None
    database_pool_size: int = Field(default=8, ge=2, le=500, description="Connections of each replica.")
    statement_timeout: Duration = Field(default="3s", description="Longest time one SQL statement may take.")
    request_deadline: Duration = Field(
        default="8s", description="Longest time one request may take, retries included; an hour at most."
    )


class Events(Model):
    """Relay (outbox to stream) and projector (stream to read model)."""

    relay_replicas: int = Field(default=2, ge=1, le=16)
    projector_replicas: int = Field(default=2, ge=1, le=16)
    resources: Resources = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "1Gi"})


class Tls(Model):
    """Encryption between all parts, and towards callers."""

    model_config = ConfigDict(json_schema_extra=marked(rules.TLS_MODE_FIXED))

    mode: TlsMode = Field(
        default=TlsMode.MANAGED, description="Managed: the operator is the authority. Disabled: for trials."
    )


class ScenarioChoice(Model):
    """One scenario of a run."""

    model_config = ConfigDict(json_schema_extra=marked(*rules.OF_SCENARIO))

    name: rules.ScenarioName
    duration: Duration | None = Field(
        default=None, description="How long the fault lasts. Absent: as long as the scenario itself says (10 to 45 s)."
    )
    recovery_deadline: Duration | None = Field(
        default=None, description="How long the ledger may take to be steady again. Absent: 180s."
    )


class Resilience(Model):
    """Failure scenarios, run on this very ledger by Chaos Mesh."""

    model_config = ConfigDict(json_schema_extra=marked(rules.SCHEDULE_NEEDED, rules.SCHEDULE_UNUSED))

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


class Seal(Model):
    """Signed notes of the ledger's state, by which a history that was rewritten shows."""

    mode: Switch = Switch.ENABLED
    schedule: Annotated[str, Field(min_length=9, max_length=100)] = Field(
        default="17 * * * *",
        description="Five fields of cron, UTC. What was posted since the latest seal can still be rewritten unseen.",
    )


class BackupClaim(Model):
    """A folder of a PersistentVolumeClaim of the ledger's namespace."""

    claim_name: ObjectName
    path: (
        Annotated[
            str,
            Field(pattern=r"^[A-Za-z0-9][-_A-Za-z0-9]*(/[A-Za-z0-9][-_A-Za-z0-9]*)*$", min_length=1, max_length=200),
        ]
        | None
    ) = Field(default=None, description="Folder for this ledger's backups alone. Absent: the ledger's name.")


class BackupDestination(Model):
    """Where backups are kept: an object store or a PersistentVolumeClaim."""

    model_config = ConfigDict(json_schema_extra=marked(rules.ONE_DESTINATION))

    url: Annotated[str, Field(pattern=r"^(s3|gs|az|abfs|abfss)://[^\s]+$", min_length=6, max_length=500)] | None = (
        Field(
            default=None, description="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, for one ledger."
        )
    )
    claim: BackupClaim | None = None


class Retention(Model):
    """Which backups stay. What neither rule keeps is deleted; what a kept backup continues is kept too."""

    model_config = ConfigDict(json_schema_extra=marked(rules.RETENTION_AGE))

    count: int | None = Field(default=None, ge=1, le=1000, description="The newest so many.")
    age: Duration | None = Field(default=None, description="Those younger than this, counted from the newest one.")


class Backup(Model):
    """Signed backups of the ledger, made by the clock or by a ChronicleLedgerBackup."""

    destination: BackupDestination
    credentials_secret_ref: LocalSecret | None = Field(
        default=None,
        description="Its entries become environment variables of the Job: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …",
    )
    encryption_key_secret_ref: SecretKey | None = Field(
        default=None,
        description="A key of `chronicle backup keygen`. Keep it elsewhere, too: without it the backups are lost.",
    )
    schedule: Annotated[str, Field(min_length=9, max_length=100)] | None = Field(
        default=None, description="Five fields of cron, UTC. Absent: only a ChronicleLedgerBackup makes a backup."
    )
    full_every: int = Field(
        default=7,
        ge=1,
        le=100,
        description="A full backup begins every so many backups; the others continue the one before.",
    )
    retention: Retention = Retention()
    verify: Switch = Field(
        default=Switch.ENABLED,
        description="Enabled: each backup is read again, with all that it continues, and verified from its files.",
    )
    rate: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Transactions read per second at most. Absent: as fast as it goes.",
    )


BackupId = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}$", max_length=40)]


class RestoreFrom(Model):
    """The backup that a new ledger begins with."""

    model_config = ConfigDict(json_schema_extra=marked(rules.ONE_SOURCE, rules.ID_OF_DESTINATION))

    backup: ObjectName | None = Field(default=None, description="A ChronicleLedgerBackup of the namespace.")
    destination: BackupDestination | None = None
    id: BackupId | None = Field(default=None, description="Which backup of the destination. Absent: the newest one.")
    to: Annotated[str, Field(pattern=r"^[-0-9A-Za-z:.+]+$", min_length=10, max_length=64)] | None = Field(
        default=None, description="A time (2026-01-31T09:00:00Z) or a transaction's id: what was posted up to there."
    )
    public_keys: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]], Field(max_length=20)] = Field(
        default=[], description="Keys that may have signed. Empty: the one that a ChronicleLedgerBackup notes."
    )
    credentials_secret_ref: LocalSecret | None = Field(default=None, description="As in spec.backup.")
    encryption_key_secret_ref: SecretKey | None = Field(default=None, description="As in spec.backup.")


class Bootstrap(Model):
    """What a new ledger begins with."""

    restore_from: RestoreFrom = Field(
        description="Put back and proven before the API starts. Without effect once the ledger was restored."
    )


class ChronicleLedgerSpec(Model):
    """A double-entry ledger on CockroachDB and NATS JetStream."""

    model_config = ConfigDict(json_schema_extra=marked(*rules.OF_SPEC))

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
    seal: Seal = Seal()
    backup: Backup | None = Field(default=None, description="Absent: no backups are made.")
    bootstrap: Bootstrap | None = Field(default=None, description="Absent: the ledger begins empty.")

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
