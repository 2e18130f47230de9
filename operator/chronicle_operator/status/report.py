"""What the status says: conditions and figures, from what was observed and decided."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any

from chronicle_operator.day2.operations import Agenda, Operation
from chronicle_operator.kube import errors
from chronicle_operator.observe.observe import Observation
from chronicle_operator.reconcile import stages
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.extension import Addition
from chronicle_operator.status import assess, conditions
from chronicle_operator.status.conditions import Condition
from chronicle_operator.status.figures import figures


@dataclass(frozen=True)
class Report:
    """The operator's part of a status. `fields` replaces top-level fields; None among them removes one."""

    conditions: Sequence[Condition]
    fields: Mapping[str, Any] = field(default_factory=dict)
    settled: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether the ledger is Ready."""
        return any(it.type == "Ready" and it.status == "True" for it in self.conditions)

    def with_addition(self, added: Addition) -> Report:
        """Return this report with what an extension adds."""
        return Report([*self.conditions, *added.conditions], {**self.fields, **added.fields}, self.settled)

    def with_failures(self, failures: Sequence[errors.KubeError]) -> Report:
        """Return this report with what an extension could not do either: that makes no ledger less ready."""
        said = [_failed(failures) if it.type == "Progressing" else it for it in self.conditions]
        return Report(said, self.fields, settled=False)

    def merged(self, old: Mapping[str, Any], generation: int, now: datetime) -> dict[str, Any]:
        """Return the whole status to store."""
        status = {**old, **self.fields}
        status = {key: value for key, value in status.items() if value is not None}
        status["observedGeneration"] = generation
        status["conditions"] = conditions.merge(
            old.get("conditions") or (), self.conditions, generation=generation, now=now
        )
        return status


NOT_PAUSED = Condition("ReconciliationPaused", "False", "Active", "the operator keeps the ledger as the spec wants it")


def paused() -> Report:
    """Return what is said once when reconciliation is paused; everything else stays as it was."""
    message = "the operator writes nothing; set spec.reconciliation to Active to go on"
    return Report([Condition("ReconciliationPaused", "True", "Paused", message)])


def invalid(problem: str) -> Report:
    """Return what is said of a spec that passed the API server and still cannot be built."""
    message = f"{problem}; what runs already is left as it is"
    return Report(
        [
            Condition("Ready", "False", "InvalidSpec", message),
            Condition("Progressing", "False", "InvalidSpec", message),
            NOT_PAUSED,
        ]
    )


def blind(error: errors.KubeError) -> Report:
    """Return what is said when the ledger could not even be looked at; the other conditions stay as last seen."""
    stopped = _failed([error])
    if isinstance(error, errors.TRANSIENT):
        return Report([stopped, NOT_PAUSED], settled=False)
    return Report([replace(stopped, type="Ready", status="Unknown"), stopped, NOT_PAUSED], settled=False)


def timed_out(seconds: float) -> Report:
    """Return what is said of a reconcile that was cut off."""
    message = (
        f"the reconcile was not done after {seconds:.0f} s and was cut off; it is tried again. If this stays, look for"
        " an API server or an admission webhook that answers slowly"
    )
    return _stopped("ReconcileTimedOut", message)


def broken(bug: Exception) -> Report:
    """Return what is said of an error that nobody expected. Its own words stay in the log: they may quote a Secret."""
    frames = traceback.extract_tb(bug.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = (
        f"the operator met an error of its own ({type(bug).__name__}{place}) and tries again; its log has the"
        " traceback. Undo what was edited by hand last, and report it"
    )
    return _stopped("InternalError", message)


def _stopped(reason: str, message: str) -> Report:
    found = [Condition("Ready", "Unknown", reason, message), Condition("Progressing", "False", reason, message)]
    return Report([*found, NOT_PAUSED], settled=False)


def status(
    seen: Observation, wanted: Desired, todo: Agenda, failures: Sequence[errors.KubeError], now: datetime
) -> Report:
    """Return the report of a full reconcile."""
    migrating = False
    if wanted.hibernated:
        found = [*assess.hibernated(seen), wanted.certificates]
    else:
        # A kind that is held back has not even been tried: what runs is of an older image.
        waiting = len(stages.due(wanted.manifests, seen)) < len(wanted.manifests)
        migrating = stages.unfinished(wanted.manifests, seen)
        restoring = stages.restoring(seen.ledger)
        serving = assess.api(seen, waiting=waiting, migrating=migrating, restoring=restoring)
        parts = [assess.cockroach(seen), assess.nats(seen), serving, wanted.certificates]
        found = [assess.summary(parts), *parts]
    progressing = _progressing(found, todo.operations, failures, migrating=migrating)
    # What passes by itself (a conflict, a Job that is made anew) says nothing about a ledger that serves.
    if any(not isinstance(it, errors.TRANSIENT) for it in failures):
        found = [_doubted(progressing) if it.type == "Ready" else it for it in found]
    settled = progressing.status == "False" and not failures
    return Report([*found, progressing, NOT_PAUSED], figures(seen, wanted, todo.operations, now), settled)


def _progressing(
    found: Sequence[Condition],
    operations: Sequence[Operation],
    failures: Sequence[errors.KubeError],
    *,
    migrating: bool,
) -> Condition:
    if failures:
        return _failed(failures)
    if operations:
        return Condition("Progressing", "True", operations[0].type, "; ".join(it.message for it in operations))
    ready = next(it for it in found if it.type == "Ready")
    if ready.status == "True" and migrating:
        return Condition("Progressing", "True", "Migrating", "the Job that migrates the schema is at work")
    if ready.status == "True" or ready.reason == "Hibernated":
        return Condition("Progressing", "False", "UpToDate", "everything is as the spec wants it")
    return Condition("Progressing", "True", "WaitingForComponents", ready.message)


def _failed(failures: Sequence[errors.KubeError]) -> Condition:
    """Return `Progressing`: False until something is done about it, True where trying again is all it takes."""
    failures = errors.worst_first(failures)
    said = "; ".join(f"{it}. {errors.advice(it)}" for it in failures[:3])
    passing = all(isinstance(it, errors.TRANSIENT) for it in failures)
    return Condition("Progressing", "True" if passing else "False", failures[0].reason, said)


def _doubted(progressing: Condition) -> Condition:
    """Return `Ready` of a ledger that is not as the spec wants it (a refusal), or of which nobody knows (the rest)."""
    refused = progressing.reason in {it.reason for it in errors.REFUSALS}
    return Condition("Ready", "False" if refused else "Unknown", progressing.reason, progressing.message)
