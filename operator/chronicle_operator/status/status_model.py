"""Every field that a ChronicleLedger's status can have: the API server drops what is not declared here.

Reconcile and the scenario runs write plain dictionaries; a test validates theirs against these models, strictly.
Whole numbers only, with the unit in the name.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
NAMED: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class Model(BaseModel):
    """camelCase outside; unknown fields are an error, as the API server would lose them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Condition(Model):
    """One observed truth, as the Kubernetes API conventions have it."""

    type: str
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: str
    message: str
    observed_generation: int | None = None
    last_transition_time: Time


class Operation(Model):
    """A day-2 operation in progress."""

    type: str
    pod: str | None = None
    message: str | None = None
    start_time: Time | None = None


class CockroachStatus(Model):
    """The database nodes."""

    replicas: int | None = None
    ready_replicas: int | None = None
    summary: str | None = Field(default=None, description="Ready of wanted, for `kubectl get`.")
    image: str | None = None
    nodes_live: int | None = None
    nodes_total: int | None = None
    ranges_underreplicated: int | None = None
    ranges_unavailable: int | None = None
    operation: Operation | None = None


class NatsStatus(Model):
    """The NATS servers."""

    replicas: int | None = None
    ready_replicas: int | None = None
    summary: str | None = None
    image: str | None = None
    lag_events: int | None = Field(default=None, description="Events that the read model is behind.")
    operation: Operation | None = None


class ApiStatus(Model):
    """The API's replicas."""

    replicas: int | None = None
    ready_replicas: int | None = None
    summary: str | None = None
    selector: str | None = Field(default=None, description="For the scale subresource.")
    image: str | None = None
    url: str | None = Field(default=None, description="Where the API answers inside the cluster.")
    version: str | None = None
    sabotage: str | None = Field(default=None, description="The guarantee that this image turns off, for tests.")


class CertificatesStatus(Model):
    """The certificates."""

    expires: Time | None = Field(default=None, description="The earliest end of validity.")
    secret_name: str | None = Field(default=None, description="Whose entry ca.crt callers trust.")


class FaultWindow(Model):
    """When a fault began, was proven and was undone."""

    injected: Time | None = None
    proven: Time | None = None
    healed: Time | None = None


class Check(Model):
    """What one checker found."""

    name: str
    result: Annotated[str, Field(json_schema_extra={"enum": ["Passed", "Failed", "Inconclusive"]})]
    message: str | None = None


class Experiment(Model):
    """An object of Chaos Mesh that injected a fault."""

    kind: str
    name: str
    uid: str | None = None


class ReportRef(Model):
    """The ConfigMap that holds a run's report."""

    kind: str = "ConfigMap"
    name: str


class ScenarioStatus(Model):
    """The latest run of one scenario."""

    name: str
    verdict: Annotated[
        str,
        Field(
            json_schema_extra={
                "enum": ["Pending", "Running", "Passed", "Failed", "Inconclusive", "NotApplicable", "Aborted"]
            }
        ),
    ]
    reason: str | None = None
    message: str | None = None
    phase: str | None = Field(default=None, description="The phase under way, or the one in which the run ended.")
    run_id: str | None = Field(default=None, alias="runID")
    injector: str | None = None
    fault_confirmed: bool | None = None
    start_time: Time | None = None
    fault_window: FaultWindow | None = None
    steady_time: Time | None = None
    completion_time: Time | None = None
    longest_gap_milliseconds: int | None = None
    recovery_milliseconds: int | None = None
    acknowledged_writes: int | None = None
    lost_writes: int | None = None
    checks: Annotated[list[Check], Field(max_length=50)] | None = Field(default=None, json_schema_extra=NAMED)
    experiments: Annotated[list[Experiment], Field(max_length=50)] | None = Field(
        default=None, json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    cleanup: str | None = Field(
        default=None, description="Clean, CleanupFailed or NotNeeded. Absent while the fault may still be there."
    )
    cleanup_message: str | None = Field(
        default=None,
        description="CleanupFailed: what is left, what to run. Clean: that the operator did what the run could not.",
    )
    report_ref: ReportRef | None = None


class RunStatus(Model):
    """The latest run: what the operator goes on from after a restart."""

    run_id: str = Field(alias="runID")
    trigger: str
    state: Annotated[str, Field(json_schema_extra={"enum": ["Starting", "Running", "Cleaning", "Finished"]})]
    message: str | None = Field(
        default=None, description="What is the matter now: a pod that does not run, a run that waits for its turn."
    )
    job_name: str | None = None
    start_time: Time | None = None
    cleaning_time: Time | None = Field(default=None, description="When the run's Job had ended.")
    completion_time: Time | None = None
    requested_run_id: str | None = Field(default=None, alias="requestedRunID")
    data_plane: str | None = Field(default=None, description="Hash of the data plane that the run judged.")
    report_name: str | None = Field(default=None, description="The ConfigMap that the run reports into.")


class SealStatus(Model):
    """The latest seal, and what the sealer goes on from."""

    number: int | None = None
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    transactions: int | None = Field(default=None, description="How many the ledger had.")
    root: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="What the next seal has to follow. Keep it elsewhere: it stands for the whole history.",
    )
    public_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Of the key that signed it."
    )
    public_keys: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=20)] | None = Field(
        default=None, description="Of every key whose seals have been seen, the latest last."
    )
    state: Annotated[str, Field(json_schema_extra={"enum": ["Running", "Finished"]})] | None = None
    job_name: str | None = None
    start_time: Time | None = None
    next_time: Time | None = None
    known: bool | None = Field(default=None, description="Whether the outcome of the latest attempt could be read.")


Root = Annotated[str, Field(json_schema_extra={"pattern": "^[0-9a-f]{64}$"})]


class BackupsStatus(Model):
    """The backups of this ledger: the newest one, and when the next one is due."""

    next_time: Time | None = None
    last_name: str | None = Field(default=None, description="The newest ChronicleLedgerBackup that was finished.")
    last_id: str | None = Field(default=None, description="Its id at the destination. Note it where nobody can write.")
    last_time: Time | None = Field(default=None, description="The moment that it holds.")
    verified: bool | None = None


class RestoreStatus(Model):
    """The restore that this ledger began with, and what the operator goes on from."""

    state: Annotated[str, Field(json_schema_extra={"enum": ["Running", "Failed", "Restored"]})]
    attempt: int | None = None
    job_name: str | None = None
    generation: int | None = Field(default=None, description="Of the spec that the latest attempt was made for.")
    start_time: Time | None = None
    next_time: Time | None = Field(default=None, description="Failed: when it is tried again.")
    completion_time: Time | None = None
    backup_id: str | None = None
    transactions: int | None = None
    head: Root | None = Field(default=None, description="Of the ledger that was put back, as its proof found it.")


class BackupPlace(Model):
    """Where a backup lies."""

    url: str | None = None
    claim_name: str | None = None
    path: str | None = None


class BackupSeal(Model):
    """The seal that a backup ends with."""

    number: int
    root: Root


class LedgerBackupStatus(Model):
    """What became of a backup."""

    phase: (
        Annotated[
            str,
            Field(
                json_schema_extra={"enum": ["Pending", "Creating", "Verifying", "Pruning", "Succeeded", "Failed"]},
            ),
        ]
        | None
    ) = Field(default=None, description="Also how far it is: it is made, verified, and older ones are deleted.")
    reason: str | None = Field(default=None, description="Failed: a CamelCase word for the code in docs/backup.md.")
    message: str | None = None
    decided: bool | None = Field(default=None, description="Failed: trying again changes nothing by itself.")
    job_name: str | None = None
    ledger_uid: str | None = Field(default=None, alias="ledgerUID")
    place: BackupPlace | None = None
    id: str | None = Field(default=None, description="The backup's id at its place.")
    kind: Annotated[str, Field(json_schema_extra={"enum": ["Full", "Incremental"]})] | None = None
    time: Time | None = Field(default=None, description="The moment that it holds.")
    start_time: Time | None = None
    completion_time: Time | None = None
    duration_seconds: int | None = None
    transactions: int | None = Field(default=None, description="How many this backup holds.")
    ledger_transactions: int | None = Field(default=None, description="How many the ledger had.")
    size_bytes: int | None = None
    head: Root | None = Field(default=None, description="What the ledger's proof had as its head.")
    root: Root | None = Field(default=None, description="Of the manifest; stands for the whole backup.")
    seal: BackupSeal | None = None
    public_key: Root | None = Field(default=None, description="Of the key that signed it.")
    encrypted: bool | None = None
    verified: bool | None = Field(default=None, description="Whether its files were read again and verified.")
    pruned: Annotated[list[str], Field(max_length=100)] | None = Field(
        default=None, description="Ids of the backups that were deleted after it."
    )


class LedgerStatus(Model):
    """What the operator observed."""

    observed_generation: int | None = None
    conditions: list[Condition] | None = Field(
        default=None, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
    cockroachdb: CockroachStatus | None = None
    nats: NatsStatus | None = None
    api: ApiStatus | None = None
    certificates: CertificatesStatus | None = None
    scenario_summary: str | None = None
    run: RunStatus | None = None
    next_run_time: Time | None = None
    seal: SealStatus | None = None
    backup: BackupsStatus | None = None
    restore: RestoreStatus | None = None
    scenarios: list[ScenarioStatus] | None = Field(default=None, json_schema_extra=NAMED)
