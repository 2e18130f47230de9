"""The one table of verdicts: its words, and that a terminal, a pipe and a cluster's status all show the same."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from chronicle_chaos.cluster import compact
from chronicle_chaos.record.journal import FaultWindow, Journal, ScenarioRecord, TargetRecord, read_journal
from chronicle_chaos.report.rows import row
from chronicle_chaos.report.table import plain_table
from chronicle_cli import cluster_view
from chronicle_cli.scenario_view import print_journal

GOLDEN_RUN = Path(__file__).parents[2] / "golden/run"


def a_record(*, acknowledged: int = 0, gap: int | None = None, lost: int | None = 0) -> ScenarioRecord:
    return ScenarioRecord(
        "x", "x", fault_window=FaultWindow("2026-03-01T12:00:00.000Z"), acknowledged_writes=acknowledged,
        longest_gap_milliseconds=gap, lost_writes=lost,
    )  # fmt: skip


def printed(journal: Journal) -> str:
    console = Console(width=160, no_color=True, file=StringIO())
    print_journal(journal, GOLDEN_RUN, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, "unknown"), (0, "0.0 s"), (38, "< 0.1 s"), (310, "0.3 s"), (15_040, "15.0 s"), (1_234_567, "1,234.6 s")],
)
def test_a_gap_is_in_seconds_whatever_its_size(milliseconds: int | None, words: str) -> None:
    assert row(a_record(gap=milliseconds)).gap == words


def test_counts_have_thousands_separators() -> None:
    found = row(a_record(acknowledged=1_234_567, lost=12_345))
    assert (found.acknowledged, found.lost) == ("1,234,567", "12,345")


def test_losses_that_nobody_counted_are_not_none() -> None:
    assert row(a_record(lost=None)).lost == "unknown"


def test_a_terminal_shows_the_table_that_the_report_has() -> None:
    journal = read_journal(GOLDEN_RUN)
    shown = [line.rstrip() for line in printed(journal).splitlines()]
    assert shown[: len(journal.scenarios) + 1] == plain_table(journal.scenarios).splitlines()


def test_a_clusters_status_shows_the_table_that_its_journal_has(capsys: pytest.CaptureFixture[str]) -> None:
    journal = read_journal(GOLDEN_RUN)
    for record in journal.scenarios:
        record.completion_time = journal.start_time  # judged, as far as the operator is concerned
    cluster_view.verdicts(compact.entries(journal))
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert shown[: len(journal.scenarios) + 1] == plain_table(journal.scenarios).splitlines()


def test_a_scenario_under_way_in_a_cluster_shows_its_phase_and_no_figures(capsys: pytest.CaptureFixture[str]) -> None:
    entries = [{"name": "nats-outage", "verdict": "Running", "phase": "steady-state", "acknowledgedWrites": 12}]
    cluster_view.verdicts(entries)
    _, line, *below = capsys.readouterr().out.splitlines()
    assert line.split() == ["nats-outage", "-", "-", "-", "-", "-", "Running"]
    assert [text for text in below if text] == ["nats-outage: Running", "steady-state"]


def test_a_name_in_brackets_is_a_name_and_no_colour() -> None:
    target = TargetRecord("local", "postgresql", "http://127.0.0.1:1")
    journal = Journal("run", "2026-03-01T12:00:00.000Z", target, 1, 60.0, scenarios=[ScenarioRecord("[red]x", "x")])
    assert "[red]x  " in printed(journal)
