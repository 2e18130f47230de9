"""ChronicleLedgers of a Kubernetes cluster as tables, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

COLOURS = {"Passed": "green", "Failed": "red", "Inconclusive": "yellow", "Aborted": "yellow", "NotApplicable": "dim"}


def ledgers(items: Sequence[Mapping[str, Any]]) -> None:
    """Print a line a ledger on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "NAME", "READY", "CRDB", "NATS", "API", "SCENARIOS", "REASON"):
        table.add_column(column, no_wrap=column != "REASON")
    for it in items:
        status = it.get("status") or {}
        ready = condition(it, "Ready")
        table.add_row(
            it["metadata"]["namespace"],
            it["metadata"]["name"],
            str(ready.get("status", "Unknown")),
            *(str((status.get(part) or {}).get("summary", "-")) for part in ("cockroachdb", "nats", "api")),
            str(status.get("scenarioSummary", "-")),
            str(ready.get("reason", "")),
        )
    _console().print(table)


def one(ledger: Mapping[str, Any]) -> None:
    """Print the conditions of a ledger and the verdicts of its latest run."""
    console = _console()
    conditions = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CONDITION", "STATUS", "REASON", "MESSAGE"):
        conditions.add_column(column, no_wrap=column != "MESSAGE")
    for it in (ledger.get("status") or {}).get("conditions") or ():
        conditions.add_row(it["type"], it["status"], it["reason"], it["message"])
    console.print(conditions)
    if (ledger.get("status") or {}).get("scenarios"):
        console.print()
        verdicts(ledger)


def verdicts(ledger: Mapping[str, Any]) -> None:
    """Print the verdicts of the latest run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("SCENARIO", "VERDICT", "FAULT PROVEN", "GAP ms", "RECOVERY ms", "ACKED", "LOST", "MESSAGE"):
        table.add_column(column, no_wrap=column != "MESSAGE")
    for it in (ledger.get("status") or {}).get("scenarios") or ():
        colour = COLOURS.get(it["verdict"], "")
        said = f"[{colour}]{it['verdict']}[/]" if colour else it["verdict"]
        figures = ("longestGapMilliseconds", "recoveryMilliseconds", "acknowledgedWrites", "lostWrites")
        table.add_row(
            it["name"],
            said,
            "yes" if it.get("faultConfirmed") else "no",
            *(str(it.get(key, "-")) for key in figures),
            str(it.get("message") or it.get("phase") or ""),
        )
    _console().print(table)


def _console() -> Console:
    """Where nobody watches there is no width to keep to, and a name cut short helps no `grep`."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def condition(ledger: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition, empty when there is none."""
    found = (ledger.get("status") or {}).get("conditions") or ()
    return next((it for it in found if it["type"] == kind), {})
