"""How a run looks in a terminal: progress on standard error, one table on standard output."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chronicle_chaos.journal import Journal, ScenarioRecord
from chronicle_chaos.options import Progress

COLOURS = {"Passed": "green", "Failed": "bold red", "Inconclusive": "yellow", "Aborted": "yellow"}


def progress_printer(console: Console | None = None) -> Progress:
    """A line a phase, with the seconds since the start. Colours are rich's: none on a pipe or under NO_COLOR."""
    console = console or Console(stderr=True, highlight=False)
    began = time.monotonic()

    def progress(scenario: str, phase: str, message: str) -> None:
        head = f"{time.monotonic() - began:6.1f} s  {scenario:24} {phase:12}"
        verdict = message.split(":", maxsplit=1)[0] if phase == "verdict" else ""
        console.print(head, message, style=COLOURS.get(verdict), markup=False, soft_wrap=True)

    return progress


def print_journal(journal: Journal, run_dir: Path, console: Console | None = None) -> None:
    """The table, what went wrong in words, and where the report is."""
    console = console or _wide_enough()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("SCENARIO", "FAULT PROVEN", "LONGEST GAP", "RECOVERY", "ACKNOWLEDGED", "LOST", "VERDICT"):
        table.add_column(name, justify="left" if name in {"SCENARIO", "VERDICT"} else "right", no_wrap=True)
    for record in journal.scenarios:
        table.add_row(*_row(record))
    console.print(table)
    for record in journal.scenarios:
        if record.verdict != "Passed":
            console.print(f"\n{record.name}: {record.verdict} ({record.reason})", style="bold", markup=False)
            console.print(record.message, markup=False, soft_wrap=True)
        if record.cleanup.result == "CleanupFailed":
            console.print(f"{record.name}: cleanup failed: {record.cleanup.message}", markup=False, soft_wrap=True)
    console.print(f"\nseed {journal.seed}; report: {run_dir / 'report.html'}", markup=False, soft_wrap=True)


def _wide_enough() -> Console:
    """A pipe has no width of its own, and a table that is cut at 80 columns is of no use to whoever reads it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _row(record: ScenarioRecord) -> list[str]:
    ran = record.fault_window is not None
    return [
        record.name,
        ("yes" if record.fault_confirmed else "no") if ran else "-",
        _milliseconds(record.longest_gap_milliseconds) if ran else "-",
        _milliseconds(record.recovery_milliseconds) if ran else "-",
        str(record.acknowledged_writes) if ran else "-",
        "unknown" if ran and record.lost_writes is None else str(record.lost_writes) if ran else "-",
        f"[{COLOURS[record.verdict]}]{record.verdict}[/]" if record.verdict in COLOURS else record.verdict,
    ]


def _milliseconds(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 1000:.1f} s"
