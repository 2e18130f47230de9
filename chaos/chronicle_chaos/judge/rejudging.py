"""Judge a stored run again, from its files alone: journal, history, final reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.errors import HistoryMissing
from chronicle_chaos.judge.checkers.base import Case, run_checks
from chronicle_chaos.judge.judging import checkers_for, cleanup_failure
from chronicle_chaos.judge.verdict import CheckResult, Stop, Verdict, judge
from chronicle_chaos.record.final import read_final
from chronicle_chaos.record.history import History, read_histories
from chronicle_chaos.record.journal import ScenarioRecord, read_journal
from chronicle_chaos.scenarios.catalogue import find


@dataclass(frozen=True, slots=True)
class Rejudgement:
    """One scenario, as it was recorded and as its files say; `differences` names what is not the same."""

    name: str
    recorded: str
    found: Verdict
    reason: str
    checks: tuple[CheckResult, ...]
    differences: tuple[str, ...]


def judge_again(run_dir: Path) -> list[Rejudgement]:
    """Judge every scenario of a run. Raises UnreadableRun or UnknownScenario where the files do not allow it."""
    journal = read_journal(run_dir)
    histories = read_histories(run_dir / "history.jsonl") if (run_dir / "history.jsonl").exists() else {}
    missing = [record.name for record in journal.scenarios if record.checks and record.name not in histories]
    if missing:
        raise HistoryMissing(
            f"{run_dir} holds no history of {', '.join(missing)}, so what was recorded can be neither confirmed nor"
            " denied; a report from a cluster leaves the history out where it is too large"
        )
    database = journal.target.database
    return [_again(run_dir, record, histories.get(record.name, History(())), database) for record in journal.scenarios]


def _again(run_dir: Path, record: ScenarioRecord, history: History, database: str) -> Rejudgement:
    (scenario,) = find([record.name], database)
    case = Case(history, read_final(run_dir, record.name), record.recovery_seconds or scenario.recovery)
    stop = Stop(record.stop) if record.stop else None
    if record.reason in {"NotStarted", "NotFinished"}:
        stop = Stop.ABORTED
    if stop is None and case.timeline.proven is None:
        # A journal that claims more than its history shows.
        stop = Stop.FAULT_UNPROVEN
    judged = stop not in {
        Stop.ABORTED, Stop.NOT_APPLICABLE, Stop.PREFLIGHT_FAILED, Stop.STEADY_STATE_NOT_MET, Stop.TARGET_NOT_HEALED
    }  # fmt: skip
    checks = run_checks(checkers_for(scenario, stop), case) if judged and record.checks else []
    judgement = judge(stop, record.message, checks, cleanup_failure=cleanup_failure(record))
    before = {c.name: c.result for c in record.checks}
    after = {c.name: c.result.value for c in checks}
    differences = [
        f"{name}: {before.get(name, 'absent')} in the journal, {after.get(name, 'absent')} now"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    if record.verdict != judgement.verdict.value:
        differences.insert(0, f"verdict: {record.verdict} in the journal, {judgement.verdict.value} now")
    return Rejudgement(
        record.name, record.verdict, judgement.verdict, judgement.reason, tuple(checks), tuple(differences)
    )
