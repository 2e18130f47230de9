"""What the status says: conditions and figures, from what was observed and decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chronicle_operator import assess, conditions, errors, stages
from chronicle_operator.apply import Manifest
from chronicle_operator.conditions import Condition
from chronicle_operator.day2.operations import Agenda, Operation
from chronicle_operator.desired import Desired
from chronicle_operator.extension import Addition
from chronicle_operator.figures import figures
from chronicle_operator.observe import Observation


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


def paused(ledger: Manifest) -> Report:
    """Return what is said once when reconciliation is paused; everything else stays as it was."""
    del ledger
    message = "the operator writes nothing; set spec.reconciliation to Active to go on"
    return Report([Condition("ReconciliationPaused", "True", "Paused", message)])


def invalid(ledger: Manifest, problem: str) -> Report:
    """Return what is said of a spec that passed the API server and still cannot be built."""
    del ledger
    message = f"{problem}; what runs already is left as it is"
    return Report(
        [
            Condition("Ready", "False", "InvalidSpec", message),
            Condition("Progressing", "False", "InvalidSpec", message),
            NOT_PAUSED,
        ]
    )


def status(
    seen: Observation, wanted: Desired, todo: Agenda, failures: Sequence[errors.KubeError], now: datetime
) -> Report:
    """Return the report of a full reconcile."""
    if wanted.hibernated:
        found = [*assess.hibernated(seen), wanted.certificates]
    else:
        # A kind that is held back has not even been tried: what runs is of an older image.
        waiting = len(stages.due(wanted.manifests, seen)) < len(wanted.manifests)
        parts = [assess.cockroach(seen), assess.nats(seen), assess.api(seen, waiting=waiting), wanted.certificates]
        found = [assess.summary(parts), *parts]
    progressing = _progressing(found, todo.operations, failures)
    if failures:
        found = [_blocked(progressing) if it.type == "Ready" else it for it in found]
    settled = progressing.status == "False" and not failures
    return Report([*found, progressing, NOT_PAUSED], figures(seen, wanted, todo.operations, now), settled)


def _progressing(
    found: Sequence[Condition], operations: Sequence[Operation], failures: Sequence[errors.KubeError]
) -> Condition:
    if failures:
        said = "; ".join(f"{it} {errors.advice(it)}" for it in failures[:3])
        return Condition("Progressing", "False", failures[0].reason, said)
    if operations:
        return Condition("Progressing", "True", operations[0].type, "; ".join(it.message for it in operations))
    ready = next(it for it in found if it.type == "Ready")
    if ready.status == "True" or ready.reason == "Hibernated":
        return Condition("Progressing", "False", "UpToDate", "everything is as the spec wants it")
    return Condition("Progressing", "True", "WaitingForComponents", ready.message)


def _blocked(progressing: Condition) -> Condition:
    return Condition("Ready", "False", progressing.reason, progressing.message)
