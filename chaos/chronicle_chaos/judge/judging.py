"""From a scenario's case to its record in the journal; the same for a live run and for one that is judged again."""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_chaos.judge.checkers.base import Case, Checker
from chronicle_chaos.judge.verdict import CheckResult, Stop, judge
from chronicle_chaos.record import figures
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.journal import CheckRecord, ScenarioRecord
from chronicle_chaos.scenarios.scenario import Scenario


def checkers_for(scenario: Scenario, stop: Stop | None) -> list[Checker]:
    """All checkers of a scenario; of one that stopped early, those that hold whether or not the fault was at work."""
    return [c for c in scenario.checks if stop is None or c.safety]


def cleanup_failure(record: ScenarioRecord) -> str:
    """What could not be undone, in words; empty where nothing is left."""
    return record.cleanup.message or "nobody knows why" if record.cleanup.result == "CleanupFailed" else ""


def leave_out(record: ScenarioRecord, why: str) -> None:
    """Write into the record that its scenario was not begun, because an earlier one's fault is still there."""
    stop = Stop.TARGET_NOT_HEALED
    judgement = judge(stop, f"not begun, because {why}", ())
    record.stop = stop.value
    record.verdict, record.reason, record.message = judgement.verdict.value, judgement.reason, judgement.message


def conclude_record(
    record: ScenarioRecord,
    case: Case,
    checks: Sequence[CheckResult],
    stop: Stop | None,
    message: str,
    clock: RunClock,
) -> None:
    """Write the judgement and the figures into the record."""
    judgement = judge(stop, message, checks, cleanup_failure=cleanup_failure(record))
    record.stop = None if stop is None else stop.value
    record.verdict, record.reason, record.message = judgement.verdict.value, judgement.reason, judgement.message
    record.checks = [CheckRecord(c.name, c.result.value, c.message, dict(c.figures)) for c in checks]
    times = case.timeline
    if times.recovered is not None:
        record.steady_time = clock.at(times.recovered)
    if times.recovery_ns is not None:
        record.recovery_milliseconds = times.recovery_ns // 1_000_000
    gap = figures.longest_gap(case.history)
    record.longest_gap_milliseconds = None if gap is None else gap.nanoseconds // 1_000_000
    record.acknowledged_writes = sum(o.outcome == "ok" for o in case.history.writes)
    durability = next((c for c in checks if c.name == "durability"), None)
    record.lost_writes = None if durability is None else durability.figures.get("lost")
    record.figures = figures.summary(case.history)
    record.completion_time = clock.now()
