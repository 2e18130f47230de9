"""How a scenario's verdict follows from what happened and from its checks.

A verdict is never better than what was proven: a fault that was not shown to be at work, a check that could not look,
or a steady state that was never reached is `Inconclusive`. Precedence is Jepsen's: wrong beats unknown beats right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a scenario came to. `NotApplicable`: this cluster has nothing that the fault could hit."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    NOT_APPLICABLE = "NotApplicable"
    ABORTED = "Aborted"


class Result(StrEnum):
    """What one check came to."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


class Stop(StrEnum):
    """Why a scenario ended before all of its phases did; the values are the journal's `reason`."""

    NOT_APPLICABLE = "NotApplicable"
    PREFLIGHT_FAILED = "PreflightFailed"
    STEADY_STATE_NOT_MET = "SteadyStateNotMet"
    UNDO_LOG_UNWRITABLE = "UndoLogUnwritable"
    INJECTION_FAILED = "InjectionFailed"
    FAULT_UNPROVEN = "FaultUnproven"
    PHASE_FAILED = "PhaseFailed"
    TARGET_NOT_HEALED = "TargetNotHealed"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a checker found; `message` names the first difference, `figures` count."""

    name: str
    result: Result
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its CamelCase reason and a sentence for a person."""

    verdict: Verdict
    reason: str
    message: str


def judge(
    stop: Stop | None, stop_message: str, checks: Sequence[CheckResult], *, cleanup_failure: str = ""
) -> Judgement:
    """Decide. `stop` None means that every phase ran and the fault was proven; `cleanup_failure` says what could not be
    undone.

    An early stop never hides a failed check: what was lost is lost, whoever or whatever caused it. And nothing passes
    on a target that was not healed: what the ledger is like without the fault has not been seen.
    """
    failed = [c for c in checks if c.result is Result.FAILED]
    unknown = [c for c in checks if c.result is Result.INCONCLUSIVE]
    if stop is Stop.NOT_APPLICABLE:
        return Judgement(Verdict.NOT_APPLICABLE, stop.value, stop_message)
    if failed:
        first = failed[0]
        return Judgement(Verdict.FAILED, f"{camel(first.name)}Failed", _sentence(failed))
    if stop in {Stop.ABORTED, Stop.UNDO_LOG_UNWRITABLE, Stop.TARGET_NOT_HEALED}:
        return Judgement(Verdict.ABORTED, stop.value, stop_message)
    if stop is not None:
        return Judgement(Verdict.INCONCLUSIVE, stop.value, stop_message)
    if not checks:
        return Judgement(Verdict.INCONCLUSIVE, "NothingChecked", "no check ran, so nothing is known")
    if unknown:
        return Judgement(Verdict.INCONCLUSIVE, f"{camel(unknown[0].name)}Inconclusive", _sentence(unknown))
    if cleanup_failure:
        message = f"all {len(checks)} checks passed, but what was broken has not been healed: {cleanup_failure}"
        return Judgement(Verdict.INCONCLUSIVE, "CleanupFailed", message)
    return Judgement(Verdict.PASSED, "AllChecksPassed", f"all {len(checks)} checks passed")


def exit_status(verdicts: Iterable[str | None]) -> int:
    """Return what a command ends with, of scenarios and of proofs alike, whose words are the same.

    0: all passed or not applicable. 1: any failed. 3: anything else, or nothing ran at all.
    """
    found = set(verdicts)
    if Verdict.FAILED in found:
        return 1
    return 0 if found and found <= {Verdict.PASSED, Verdict.NOT_APPLICABLE} else 3


def camel(name: str) -> str:
    """`exactly-once` as `ExactlyOnce`."""
    return "".join(part.capitalize() for part in name.split("-"))


def _sentence(checks: Sequence[CheckResult]) -> str:
    return "; ".join(f"{c.name}: {c.message}" for c in checks)
