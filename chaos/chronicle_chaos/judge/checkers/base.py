"""What every checker takes and gives. A checker is a pure function of a scenario's history and final reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from chronicle_chaos.judge.verdict import CheckResult, Result
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.final import FinalReads
from chronicle_chaos.record.history import History, Operation
from chronicle_chaos.record.timeline import Timeline, timeline


class CannotTell(Exception):
    """What was recorded does not decide the question; the check is Inconclusive."""


@dataclass(frozen=True)
class Case:
    """What is judged. `recovery_seconds` is the deadline from when healing is asked for to steady
    state."""

    history: History
    final: FinalReads | None
    recovery_seconds: float = 60.0

    @cached_property
    def timeline(self) -> Timeline:
        """When what happened."""
        return timeline(self.history)

    @property
    def reads(self) -> FinalReads:
        """The final reads, complete. Raises CannotTell where there are none or some failed: never read is unknown."""
        if self.final is None:
            raise CannotTell("there are no final reads, so what the ledger holds is unknown")
        if self.final.errors:
            raise CannotTell(f"final reads failed: {self.final.errors[0]} ({len(self.final.errors)} in all)")
        if not self.final.accounts and not self.final.absent:
            raise CannotTell("no account was read at the end")
        return self.final

    @cached_property
    def through_load_balancer(self) -> tuple[Operation, ...]:
        """What clients asked through the load balancer."""
        return tuple(o for o in self.history.clients if o.target == LOAD_BALANCER)


class Checker(Protocol):
    """One question with a name. `safety` marks questions whose answer holds whether or not the fault took effect."""

    @property
    def name(self) -> str:
        """The check's name in the journal."""

    @property
    def safety(self) -> bool:
        """Whether it is judged even where the fault was not proven."""

    def check(self, case: Case) -> CheckResult:
        """Judge. Raises CannotTell where the case does not decide the question."""


def passed(name: str, message: str, **figures: object) -> CheckResult:
    """A check that found nothing wrong."""
    return CheckResult(name, Result.PASSED, message, figures)


def failed(name: str, message: str, **figures: object) -> CheckResult:
    """A check that found something wrong."""
    return CheckResult(name, Result.FAILED, message, figures)


def conclude(name: str, problems: Sequence[str], message: str, **figures: object) -> CheckResult:
    """Failed with the first problem and how many there are, or passed with `message`."""
    if not problems:
        return passed(name, message, **figures)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return failed(name, problems[0] + more, problems=len(problems), **figures)


def run_checks(checkers: Iterable[Checker], case: Case) -> list[CheckResult]:
    """Run each. One that raises has found nothing out, and its result is Inconclusive."""
    results = []
    for checker in checkers:
        try:
            results.append(checker.check(case))
        except CannotTell as reason:
            results.append(CheckResult(checker.name, Result.INCONCLUSIVE, str(reason)))
        except Exception as error:  # noqa: BLE001 - a broken checker must not pass, nor hide the others
            message = f"the checker itself failed: {type(error).__name__}: {error}"
            results.append(CheckResult(checker.name, Result.INCONCLUSIVE, message))
    return results
