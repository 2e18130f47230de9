"""The one table of verdicts: for a terminal with rich, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

from rich.table import Table
from rich.text import Text

from chronicle_chaos.record.journal import ScenarioRecord
from chronicle_chaos.report.rows import row

HEADINGS = ("SCENARIO", "FAULT PROVEN", "LONGEST GAP", "RECOVERY", "ACKNOWLEDGED", "LOST", "VERDICT")
STYLES = {
    "Passed": "green",
    "Failed": "bold red",
    "Inconclusive": "yellow",
    "Aborted": "yellow",
    "NotApplicable": "dim",
}
LEFT = {"SCENARIO", "FAULT PROVEN", "VERDICT"}


def rich_table(records: Iterable[ScenarioRecord]) -> Table:
    """For a rich console, which leaves colours out where NO_COLOR or a pipe asks for it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEADINGS:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for record in records:
        *cells, verdict = astuple(row(record))
        # Text, not markup: a name in brackets is a name.
        table.add_row(*map(Text, cells), Text(verdict, style=STYLES.get(verdict, "")))
    return table


def plain_table(records: Iterable[ScenarioRecord]) -> str:
    """The same without colours and boxes, columns two spaces apart."""
    rows = [HEADINGS, *(astuple(row(record)) for record in records)]
    widths = [max(len(cells[n]) for cells in rows) for n in range(len(HEADINGS))]
    lines = []
    for cells in rows:
        aligned = (
            cell.ljust(width) if heading in LEFT else cell.rjust(width)
            for cell, width, heading in zip(cells, widths, HEADINGS, strict=True)
        )  # fmt: skip
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines) + "\n"
