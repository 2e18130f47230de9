"""What the API answers as tables, for people. Amounts stay whole minor units, as the API counts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chronicle_cli.connection import plain
from chronicle_client import Account, Hold, StatementLine, Transaction

Column = tuple[str, Callable[[Any], object]]
RIGHT = frozenset({"AMOUNT", "AVAILABLE", "BALANCE", "CAPTURED", "FLOOR", "HELD", "VERSION"})

ACCOUNT: Sequence[Column] = (
    ("ID", lambda it: it.id), ("CURRENCY", lambda it: it.currency), ("BALANCE", lambda it: it.balance),
    ("HELD", lambda it: it.held), ("AVAILABLE", lambda it: it.available), ("FLOOR", lambda it: it.floor),
    ("STATUS", lambda it: it.status), ("VERSION", lambda it: it.version), ("METADATA", lambda it: it.metadata),
)  # fmt: skip
HOLD: Sequence[Column] = (
    ("ID", lambda it: it.id), ("ACCOUNT", lambda it: it.account_id), ("AMOUNT", lambda it: it.amount),
    ("CAPTURED", lambda it: it.captured), ("STATE", lambda it: it.state), ("EXPIRES", lambda it: it.expires_at),
)  # fmt: skip
ENTRY: Sequence[Column] = (
    ("ACCOUNT", lambda it: it.account_id), ("CURRENCY", lambda it: it.currency), ("AMOUNT", lambda it: it.amount),
    ("HELD", lambda it: it.held), ("BALANCE", lambda it: it.balance_after), ("VERSION", lambda it: it.version),
)  # fmt: skip
LINE: Sequence[Column] = (
    ("POSTED", lambda it: it.posted_at), ("KIND", lambda it: it.kind), ("AMOUNT", lambda it: it.amount),
    ("HELD", lambda it: it.held), ("BALANCE", lambda it: it.balance_after), ("BY", lambda it: it.posted_by),
    ("TRANSACTION", lambda it: it.transaction_id),
)  # fmt: skip
TABLES: Mapping[type, Sequence[Column]] = {Account: ACCOUNT, Hold: HOLD, StatementLine: LINE}


def show(answers: Sequence[Any]) -> None:
    """Print answers of one kind on stdout: one table, or for a transaction its head and the table of its entries."""
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe has no width, and an id that is cut is of no use
        console = Console(highlight=False, width=250)
    if not answers:
        console.print("none")
        return
    if not isinstance(answers[0], Transaction):
        console.print(table(TABLES[type(answers[0])], answers))
        return
    for it in answers:
        head = f"{it.id}  {it.kind}  {cell(it.posted_at)}  by {cell(it.posted_by)}"
        console.print(Text(head), soft_wrap=True)
        if it.metadata:
            console.print(Text(cell(it.metadata)), soft_wrap=True)
        console.print(table(ENTRY, it.entries))


def table(columns: Sequence[Column], rows: Sequence[Any]) -> Table:
    """Return a table with a row for each."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in columns:
        made.add_column(title, justify="right" if title in RIGHT else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell(value(row))) for _, value in columns))
    return made


def cell(value: object) -> str:
    """Return a value as text for a terminal: `-` for none, times in UTC to the second."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return plain(json.dumps(value) if isinstance(value, dict) else str(value)) if value != {} else ""
