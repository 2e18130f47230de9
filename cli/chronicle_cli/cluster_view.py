"""ChronicleLedgers of a Kubernetes cluster as tables, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from chronicle_chaos.cluster.compact import record
from chronicle_cli.scenario_view import print_records, wide_enough


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
    wide_enough().print(table)


def one(ledger: Mapping[str, Any]) -> None:
    """Print the conditions of a ledger and the verdicts of its latest run."""
    console = wide_enough()
    conditions = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CONDITION", "STATUS", "REASON", "MESSAGE"):
        conditions.add_column(column, no_wrap=column != "MESSAGE")
    for it in (ledger.get("status") or {}).get("conditions") or ():
        conditions.add_row(it["type"], it["status"], it["reason"], it["message"])
    console.print(conditions)
    found = (ledger.get("status") or {}).get("scenarios")
    if found:
        console.print()
        verdicts(found)


def verdicts(scenarios: Sequence[Mapping[str, Any]]) -> None:
    """Print `status.scenarios` in the table that a run on this machine ends with."""
    print_records([record(entry) for entry in scenarios], wide_enough())


def condition(ledger: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition, empty when there is none."""
    found = (ledger.get("status") or {}).get("conditions") or ()
    return next((it for it in found if it["type"] == kind), {})
