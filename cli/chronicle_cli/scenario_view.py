"""How a run looks in a terminal: progress on standard error, one table on standard output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from chronicle_chaos.journal import Journal, ScenarioRecord
from chronicle_chaos.options import Progress
from chronicle_chaos.report.table import STYLES, rich_table


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
    """The table, what went wrong in words, and where the report is."""
    console = console or wide_enough()
    print_records(journal.scenarios, console)
    console.print(f"\nseed {journal.seed}; report: {run_dir / 'report.html'}", markup=False, soft_wrap=True)


def print_records(records: Sequence[ScenarioRecord], console: Console) -> None:
    """The table, and in words whatever did not pass or could not be cleaned up."""
    console.print(rich_table(records))
    for record in records:
        if record.verdict != "Passed":
            because = f" ({record.reason})" if record.reason else ""
            console.print(f"\n{record.name}: {record.verdict}{because}", style="bold", markup=False)
            console.print(record.message, markup=False, soft_wrap=True)
        if record.cleanup.result == "CleanupFailed":
            console.print(f"{record.name}: cleanup failed: {record.cleanup.message}", markup=False, soft_wrap=True)


def wide_enough() -> Console:
    """A pipe has no width of its own, and a table that is cut at 80 columns is of no use to whoever reads it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
