"""What a run leaves on disk can be read back, is never half, and says no more than is known."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.figures import percentile
from chronicle_chaos.record.history import NEMESIS, History, Recorder, read_histories
from chronicle_chaos.record.journal import Journal, ScenarioRecord, TargetRecord, read_journal, write_journal
from chronicle_chaos.run.options import new_run, point_latest
from chronicle_chaos.run.undo import FileUndoLog


def record_some(path: Path) -> History:
    with Recorder(path, RunClock()) as recorder:
        recorder.begin("first")
        recorder.record("client-1", "invoke", "transfer", key="k1", value={"amount": 5}, target="lb", intended_ns=0)
        recorder.record("client-2", "invoke", "read", value={"account_id": "a"}, target="lb")
        recorder.record("client-1", "ok", "transfer", key="k1", value={"transaction_id": "t"}, status=201)
        recorder.record("client-2", "info", "read", error="no answer within 1 s")
        recorder.record("client-3", "invoke", "transfer", key="k2", target="lb")
        recorder.record(NEMESIS, "ok", "prove")
        return recorder.history()


def test_a_history_reads_back_as_it_was_recorded(tmp_path: Path) -> None:
    recorded = record_some(tmp_path / "history.jsonl")
    assert read_histories(tmp_path / "history.jsonl") == {"first": recorded}


def test_every_line_has_the_documented_fields(tmp_path: Path) -> None:
    record_some(tmp_path / "history.jsonl")
    first = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[0])
    assert set(first) == {"i", "t_ns", "scenario", "process", "type", "f", "key", "value", "target", "status", "code",
                          "intended_ns", "error"}  # fmt: skip


def test_an_operation_that_nobody_saw_end_is_of_unknown_outcome(tmp_path: Path) -> None:
    by_process = {o.process: o for o in record_some(tmp_path / "h").operations}
    assert by_process["client-1"].outcome == "ok"
    assert by_process["client-1"].latency_ns is not None
    assert (by_process["client-2"].outcome, by_process["client-2"].completed_ns) == ("info", None)
    assert by_process["client-2"].ended_ns is not None
    assert (by_process["client-3"].outcome, by_process["client-3"].ended_ns) == ("info", None)


def test_half_a_last_line_is_what_a_killed_run_leaves_and_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record_some(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read_histories(path)["first"].events) == 5


def test_a_line_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record_some(path)
    path.write_text(path.read_text().replace('"type":"ok"', '"type":"fine"'))
    with pytest.raises(UnreadableRun, match="line 3"):
        read_histories(path)


def a_journal() -> Journal:
    target = TargetRecord("local", "postgresql", "http://127.0.0.1:1")
    return Journal("run-1", "2026-01-01T00:00:00.000Z", target, 7, 60.0, scenarios=[ScenarioRecord("api-crash", "t")])


def test_a_journal_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write_journal(tmp_path, a_journal())
    assert read_journal(tmp_path) == a_journal()
    assert not (tmp_path / "journal.json.new").exists()


def test_a_journal_has_the_documented_fields(tmp_path: Path) -> None:
    write_journal(tmp_path, a_journal())
    data = json.loads((tmp_path / "journal.json").read_text())
    assert {"schemaVersion", "runID", "startTime", "completionTime", "target", "versions", "seed", "rate", "sabotage",
            "exitStatus", "scenarios"} <= set(data)  # fmt: skip
    assert {"name", "title", "verdict", "reason", "message", "injector", "fidelity", "faultConfirmed", "startTime",
            "faultWindow", "steadyTime", "completionTime", "longestGapMilliseconds", "recoveryMilliseconds",
            "acknowledgedWrites", "lostWrites", "phases", "checks", "evidence", "experiments", "figures",
            "cleanup"} <= set(data["scenarios"][0])  # fmt: skip


def test_a_scenario_that_has_not_been_judged_never_reads_as_passed(tmp_path: Path) -> None:
    write_journal(tmp_path, a_journal())
    (record,) = read_journal(tmp_path).scenarios
    assert (record.verdict, record.reason) == ("Aborted", "NotFinished")


@pytest.mark.parametrize("content", ["{}", "[", '{"schemaVersion": 2}'])
def test_another_file_is_not_taken_for_a_journal(tmp_path: Path, content: str) -> None:
    (tmp_path / "journal.json").write_text(content)
    with pytest.raises(UnreadableRun):
        read_journal(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, msgspec.structs.replace(a_journal(), schema_version=2))
    with pytest.raises(UnreadableRun, match="schema version 2"):
        read_journal(tmp_path)


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    first, second = new_run(tmp_path / "runs"), new_run(tmp_path / "runs")
    assert first != second
    assert not (tmp_path / "runs" / "latest").exists(), "a run that has not begun is none"
    point_latest(first)
    point_latest(second)
    assert (tmp_path / "runs" / "latest").resolve() == second.resolve()


def test_the_undo_log_keeps_what_was_recorded_by_scenario(tmp_path: Path) -> None:
    log = FileUndoLog(tmp_path / "undo.jsonl", "one")
    log.record("start node 2 again", {"node": 2})
    FileUndoLog(tmp_path / "undo.jsonl", "other").record("something else", {})
    assert [e["undo"] for e in log.entries()] == [{"node": 2}]


def test_an_undo_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FileUndoLog(tmp_path / "missing" / "undo.jsonl", "one").record("x", {})


def test_percentiles_are_by_nearest_rank() -> None:
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
