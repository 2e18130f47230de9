"""Reading the read model. Every read is of one generation, so a rebuild is never seen half done.

The generation is asked for first and given to the query as a value: CockroachDB reads a whole table where a column is
compared with a subquery. A generation is deleted only after another one has taken its place, so what was read is whole
where the generation is still the same afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.store.moments import STATEMENT, around
from chronicle_ledger.store.pool import Connection, Database
from chronicle_ledger.store.reads import Page
from chronicle_ledger.store.view_writes import POSITION

_GENERATION = b"SELECT generation FROM view_current WHERE id = 1"


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
    posted_by: str | None


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


Read = Callable[[Connection, int], Awaitable[list[Any]]]


async def _generation(conn: Connection) -> int:
    row = await (await conn.execute(_GENERATION)).fetchone()
    return int(row[0]) if row else 0


async def _current(database: Database, read: Read) -> list[Any]:
    """What `read` finds in the generation that is read now."""
    async with database.connection() as conn:
        generation = await _generation(conn)
        while True:
            found = await read(conn, generation)
            before, generation = generation, await _generation(conn)
            if generation == before:
                return found


async def _rows(database: Database, query: str, parameters: Sequence[Any]) -> list[Any]:
    """Rows of a query whose first parameter is the generation."""

    async def read(conn: Connection, generation: int) -> list[Any]:
        return await _execute(conn, query, [generation, *parameters])

    return await _current(database, read)


async def _execute(conn: Connection, query: str, parameters: Sequence[Any]) -> list[Any]:
    cursor = await conn.execute(query.encode(), parameters, binary=True)
    return await cursor.fetchall()


_BALANCE = "account_id, currency, kind, balance, held, version, posted_at"


async def balance(database: Database, account: UUID) -> ViewBalance | None:
    """One account, or None where the read model does not know it (yet)."""
    found = await _rows(
        database,
        f"SELECT {_BALANCE} FROM account_view WHERE generation = %s AND account_id = %s",  # noqa: S608
        [account],
    )
    return ViewBalance(*found[0]) if found else None


async def balances(
    database: Database, *, cursor: UUID | None = None, limit: int = 100, currency: str | None = None
) -> Page[ViewBalance]:
    """Accounts in order of id, after `cursor`."""
    beyond, after = (">=", UUID(int=0)) if cursor is None else (">", cursor)
    where, order = f"generation = %(of)s AND account_id {beyond} %(after)s", "account_id"
    if currency is not None:
        # As tuples, so that every planner takes the index over them, however few accounts it expects.
        where = f"(generation, currency, account_id) {beyond} (%(of)s, %(currency)s, %(after)s)"
        where += " AND (generation, currency) <= (%(of)s, %(currency)s)"
        order = "generation, currency, account_id"
    query = f"SELECT {_BALANCE} FROM account_view WHERE {where} ORDER BY {order} LIMIT {int(limit) + 1}"  # noqa: S608

    async def read(conn: Connection, generation: int) -> list[Any]:
        bounds = {"of": generation, "currency": currency, "after": after}
        return await (await conn.execute(query.encode(), bounds, binary=True)).fetchall()

    found = await _current(database, read)
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

    async def read(conn: Connection, generation: int) -> list[Any]:
        key = [generation, account]
        conditions = ["generation = %s", "account_id = %s", "version > %s"]
        parameters: list[Any] = [*key, cursor]
        if since is not None:
            conditions += ["version > %s", "posted_at >= %s"]
            parameters += [(await around(conn, STATEMENT, key, since))[0], since]
        if until is not None:
            conditions += ["version < %s", "posted_at < %s"]
            parameters += [(await around(conn, STATEMENT, key, until))[1], until]
        return await _execute(
            conn,
            "SELECT version, txn_id, kind, amount, held, balance_after, held_after, effective_at, posted_at, posted_by"  # noqa: S608
            f" FROM statement_view WHERE {' AND '.join(conditions)} ORDER BY version LIMIT {int(limit) + 1}",
            parameters,
        )

    found = await _current(database, read)
    items = tuple(StatementLine(*row) for row in found[:limit])
    return Page(items, str(items[-1].version) if len(found) > limit else None)


async def days(database: Database, account: UUID, *, cursor: date | None = None, limit: int = 100) -> Page[Day]:
    """An account's days, oldest first, after day `cursor`."""
    found = await _rows(
        database,
        f"SELECT day, debits, credits, entries, closing_balance FROM daily_view"  # noqa: S608
        f" WHERE generation = %s AND account_id = %s AND day {'>' if cursor else '>='} %s"
        f" ORDER BY day LIMIT {int(limit) + 1}",
        [account, cursor or date(1, 1, 1)],
    )
    items = tuple(Day(row[0], int(row[1]), int(row[2]), row[3], row[4]) for row in found[:limit])
    return Page(items, items[-1].day.isoformat() if len(found) > limit else None)


async def trial_balance(database: Database) -> list[TrialLine]:
    """One line a currency, in order of currency."""
    found = await _rows(
        database,
        "SELECT currency, count(*), COALESCE(sum(CASE WHEN balance < 0 THEN -(balance::DECIMAL) END), 0),"
        " COALESCE(sum(CASE WHEN balance > 0 THEN balance::DECIMAL END), 0)"
        " FROM account_view WHERE generation = %s GROUP BY currency ORDER BY currency",
        [],
    )
    return [TrialLine(row[0], row[1], int(row[2]), int(row[3])) for row in found]


async def position(database: Database) -> Position | None:
    """Where the projection is; None before its first batch."""
    async with database.connection() as conn:
        found = await _execute(
            conn,
            "SELECT stream_sequence, pending, COALESCE(extract(epoch FROM now() - posted_at), 0)::FLOAT8, applied,"
            " skipped, gaps, dead FROM projection WHERE name = %s",
            [POSITION],
        )
    return Position(*found[0]) if found else None
