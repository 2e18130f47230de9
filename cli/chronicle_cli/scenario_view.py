"""How a run looks in a terminal: progress on standard error, one table on standard output."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.record.history import History, read_histories
from chronicle_chaos.record.journal import Journal, ScenarioRecord
from chronicle_chaos.report.findings import findings, listing
from chronicle_chaos.report.table import STYLES, rich_table
from chronicle_chaos.run.options import Progress
from chronicle_chaos.target import database_name


def progress_printer(console: Console | None = None) -> Progress:
    """A line a phase, with the seconds since the start. Colours are rich's: none on a pipe or under NO_COLOR."""
    console = console or Console(stderr=True, highlight=False)
    began = time.monotonic()

    def progress(scenario: str, phase: str, message: str) -> None:
        head = f"{time.monotonic() - began:6.1f} s  {scenario:24} {phase:12}"
        verdict = message.split(":", maxsplit=1)[0] if phase == "verdict" else ""
        console.print(head, message, style=STYLES.get(verdict), markup=False, soft_wrap=True)

    return progress


def print_journal(journal: Journal, run_dir: Path, console: Console | None = None) -> None:
    """The table, what was found, what went wrong in words, and where the report is."""
    console = console or wide_enough()
    print_records(journal.scenarios, console, _histories(run_dir))
    console.print(f"\non {database_name(journal.target.database, journal.versions)}", markup=False, soft_wrap=True)
    console.print(f"seed {journal.seed}; report: {run_dir / 'report.html'}", markup=False, soft_wrap=True)


def print_records(
    records: Sequence[ScenarioRecord], console: Console, histories: Mapping[str, History] | None = None
) -> None:
    """The table, what was found, and in words whatever did not pass or could not be cleaned up."""
    console.print(rich_table(records))
    found = {record.name: findings(record, (histories or {}).get(record.name)) for record in records}
    lines = list(listing({name: lines for name, lines in found.items() if lines}))
    if lines:
        console.print()
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    for record in records:
        if record.verdict != "Passed":
            because = f" ({record.reason})" if record.reason else ""
            console.print(f"\n{record.name}: {record.verdict}{because}", style="bold", markup=False)
            console.print(record.message, markup=False, soft_wrap=True)
        if record.cleanup.result == "CleanupFailed":
            console.print(f"{record.name}: cleanup failed: {record.cleanup.message}", markup=False, soft_wrap=True)


def _histories(run_dir: Path) -> Mapping[str, History]:
    """None that can be read is no reason to hide the verdicts."""
    try:
        return read_histories(run_dir / "history.jsonl")
    except UnreadableRun:
        return {}


def wide_enough() -> Console:
    """A pipe has no width of its own, and a table that is cut at 80 columns is of no use to whoever reads it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
