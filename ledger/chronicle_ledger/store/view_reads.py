"""Reading the read model. Every statement reads one generation, so a rebuild is never seen half done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.store.pool import Database
from chronicle_ledger.store.reads import Page
from chronicle_ledger.store.view_writes import POSITION

_CURRENT = "generation = (SELECT generation FROM view_current WHERE id = 1)"


@dataclass(frozen=True, slots=True)
class ViewBalance:
    """An account as the read model knows it, as of `version` (minor units)."""

    account_id: UUID
    currency: str
    kind: str
    balance: int
    held: int
    version: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of a statement with the running balance."""

    version: int
    transaction_id: UUID
    kind: str
    amount: int
    held: int
    balance_after: int
    held_after: int
    effective_at: datetime
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """An account's UTC day: what went out, what came in, and the balance at its end."""

    day: date
    debits: int
    credits: int
    entries: int
    closing_balance: int


@dataclass(frozen=True, slots=True)
class TrialLine:
    """The balances of one currency: `debit` is the sum of those below zero (as a positive number), `credit` of those
    above."""

    currency: str
    accounts: int
    debit: int
    credit: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far the projection is; `behind_seconds` is the age of the last event projected, by the database's clock."""

    stream_sequence: int
    pending: int
    behind_seconds: float
    applied: int
    skipped: int
    gaps: int
    dead: int


async def _rows(database: Database, query: str, parameters: Sequence[Any]) -> list[Any]:
    async with database.connection() as conn:
        cursor = await conn.execute(query.encode(), parameters, binary=True)
        return await cursor.fetchall()


_BALANCE = "account_id, currency, kind, balance, held, version, posted_at"


async def balance(database: Database, account: UUID) -> ViewBalance | None:
    """One account, or None where the read model does not know it (yet)."""
    found = await _rows(
        database,
        f"SELECT {_BALANCE} FROM account_view WHERE {_CURRENT} AND account_id = %s",  # noqa: S608
        [account],
    )
    return ViewBalance(*found[0]) if found else None


async def balances(
    database: Database, *, cursor: UUID | None = None, limit: int = 100, currency: str | None = None
) -> Page[ViewBalance]:
    """Accounts in order of id, after `cursor`."""
    conditions, parameters = [_CURRENT], list[Any]()
    if cursor is not None:
        conditions.append("account_id > %s")
        parameters.append(cursor)
    if currency is not None:
        conditions.append("currency = %s")
        parameters.append(currency)
    found = await _rows(
        database,
        f"SELECT {_BALANCE} FROM account_view WHERE {' AND '.join(conditions)}"  # noqa: S608
        f" ORDER BY account_id LIMIT {int(limit) + 1}",
        parameters,
    )
    items = tuple(ViewBalance(*row) for row in found[:limit])
    return Page(items, str(items[-1].account_id) if len(found) > limit else None)


async def statement(
    database: Database,
    account: UUID,
    *,
    cursor: int = 0,
    limit: int = 100,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[StatementLine]:
    """Lines after version `cursor`, posted in [since, until)."""
    conditions, parameters = [_CURRENT, "account_id = %s", "version > %s"], list[Any]([account, cursor])
    for operator, value in ((">=", since), ("<", until)):
        if value is not None:
            conditions.append(f"posted_at {operator} %s")
            parameters.append(value)
    found = await _rows(
        database,
        "SELECT version, txn_id, kind, amount, held, balance_after, held_after, effective_at, posted_at"  # noqa: S608
        f" FROM statement_view WHERE {' AND '.join(conditions)} ORDER BY version LIMIT {int(limit) + 1}",
        parameters,
    )
    items = tuple(StatementLine(*row) for row in found[:limit])
    return Page(items, str(items[-1].version) if len(found) > limit else None)


async def days(database: Database, account: UUID, *, cursor: date | None = None, limit: int = 100) -> Page[Day]:
    """An account's days, oldest first, after day `cursor`."""
    found = await _rows(
        database,
        f"SELECT day, debits, credits, entries, closing_balance FROM daily_view WHERE {_CURRENT}"  # noqa: S608
        f" AND account_id = %s AND day > %s ORDER BY day LIMIT {int(limit) + 1}",
        [account, cursor or date(1, 1, 1)],
    )
    items = tuple(Day(row[0], int(row[1]), int(row[2]), row[3], row[4]) for row in found[:limit])
    return Page(items, items[-1].day.isoformat() if len(found) > limit else None)


async def trial_balance(database: Database) -> list[TrialLine]:
    """One line a currency, in order of currency."""
    found = await _rows(
        database,
        "SELECT currency, count(*), COALESCE(sum(CASE WHEN balance < 0 THEN -(balance::DECIMAL) END), 0),"  # noqa: S608
        " COALESCE(sum(CASE WHEN balance > 0 THEN balance::DECIMAL END), 0)"
        f" FROM account_view WHERE {_CURRENT} GROUP BY currency ORDER BY currency",
        [],
    )
    return [TrialLine(row[0], row[1], int(row[2]), int(row[3])) for row in found]


async def position(database: Database) -> Position | None:
    """Where the projection is; None before its first batch."""
    found = await _rows(
        database,
        "SELECT stream_sequence, pending, COALESCE(extract(epoch FROM now() - posted_at), 0)::FLOAT8, applied,"
        " skipped, gaps, dead FROM projection WHERE name = %s",
        [POSITION],
    )
    return Position(*found[0]) if found else None
