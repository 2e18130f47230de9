"""Reading the whole ledger at one point in time, in pages, so that memory stays bounded however large it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection, Database

PAGE = 1000
"""Rows read at once: some milliseconds of work between two looks at other requests."""

STATEMENT_SECONDS = 30

FIRST = UUID(int=0)

OUTSIDE: Mapping[str, Any] = {"kind": AccountKind.SYSTEM, "floor": None, "status": AccountStatus.OPEN, "metadata": {}}
"""How accounts of the outside world are opened."""


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """An account's row (minor units); `metadata` is canonical JSON."""

    id: UUID
    currency: str
    balance: int
    held: int
    floor: int | None
    version: int
    head: bytes
    kind: str
    status: str
    metadata: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry with the hash, kind and time of its transaction (None where that is gone). `details` are those of
    transactions that open or change accounts."""

    account_id: UUID
    version: int
    txn_id: UUID
    currency: str
    amount: int
    held: int
    balance_after: int
    held_after: int
    hash: bytes | None
    kind: str | None
    posted_at: datetime
    txn_posted_at: datetime | None
    effective_at: datetime | None
    details: str | None

    @property
    def day(self) -> date:
        """The UTC day of posting."""
        return self.posted_at.date()

    def settings(self) -> dict[str, Any]:
        """What the transaction set on this account, of `currency`, `kind`, `floor`, `status` and `metadata`."""
        if self.details is None:
            return {}
        details = json.loads(self.details)
        if details.pop("account_id", None) == str(self.account_id):
            return dict(details)
        # Opened on the way, since it was missing: an account of the outside world, all of which are alike.
        return {**OUTSIDE, "currency": self.currency} if self.version == 1 else {}


@dataclass(frozen=True, slots=True)
class ViewRow:
    """An account of the read model. `posted_at` is when its last entry there was posted."""

    id: UUID
    currency: str
    kind: str
    balance: int
    held: int
    version: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One line of a statement in the read model."""

    account_id: UUID
    version: int
    txn_id: UUID
    kind: str
    amount: int
    held: int
    balance_after: int
    held_after: int
    effective_at: datetime
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day of an account in the read model."""

    account_id: UUID
    day: date
    debits: int
    credits: int
    entries: int
    closing_balance: int


@contextlib.asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Connection]:
    """A connection on which every statement sees the database at one moment, while writes go on.

    On CockroachDB a millisecond ago (AS OF SYSTEM TIME): reads in the past never wait for writers and are never run
    again. On PostgreSQL the moment of the first statement (REPEATABLE READ).
    """
    async with database.raw_connection(10.0) as conn:
        cockroach = conn.info.parameter_status("crdb_version") is not None
        try:
            if cockroach:
                await conn.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000}".encode())
                await conn.execute("BEGIN AS OF SYSTEM TIME '-1ms'", prepare=False)
            else:
                await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
                await conn.execute(f"SET LOCAL statement_timeout = {STATEMENT_SECONDS * 1000}".encode())
                # Between two pages the stream is read, which may take a while.
                await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield conn
        finally:
            if not conn.closed and not conn.broken:
                await conn.execute("ROLLBACK", prepare=False)
                if cockroach:
                    await conn.execute(f"SET statement_timeout = {int(database.statement_timeout * 1000)}".encode())


async def generation(conn: Connection) -> int:
    """The generation of the read model that is read now."""
    cursor = await conn.execute("SELECT generation FROM view_current WHERE id = 1")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def outbox(conn: Connection) -> AsyncIterator[list[tuple[int, UUID, str]]]:
    """Pages of (shard, transaction id, payload) that wait; also in shards that no relay looks into."""
    shard, after = -(2**15), FIRST  # the lowest of an INT2
    while True:
        cursor = await conn.execute(
            "SELECT shard, id, payload FROM outbox WHERE (shard, id) > (%s, %s) ORDER BY shard, id LIMIT %s",
            (shard, after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        if not page:
            return
        yield [(row[0], row[1], row[2]) for row in page]
        shard, after = page[-1][0], page[-1][1]


async def accounts(conn: Connection) -> AsyncIterator[LedgerAccount]:
    """All accounts in order of id."""
    beyond, after = b">=", FIRST  # an id of all zeros is an id
    while True:
        cursor = await conn.execute(
            b"SELECT id, currency, balance, held, floor, version, head, kind, status, metadata, created_at, updated_at"
            b" FROM account"
            b" WHERE id " + beyond + b" %s ORDER BY id LIMIT %s",
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield LedgerAccount(*row)
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]


async def entries(conn: Connection) -> AsyncIterator[LedgerEntry]:
    """All entries in order of account and version."""
    after = (FIRST, 0)
    while True:
        # The page is cut first and joined after, so that no planner joins the rest of the table.
        cursor = await conn.execute(
            "SELECT e.account_id, e.version, e.txn_id, e.currency, e.amount, e.held, e.balance_after, e.held_after,"
            " t.hash, t.kind, e.posted_at, t.posted_at, t.effective_at,"
            " CASE WHEN t.kind IN ('account_opened', 'account_updated') THEN t.details END"
            " FROM (SELECT * FROM entry WHERE (account_id, version) > (%s, %s) ORDER BY account_id, version LIMIT %s)"
            " AS e LEFT JOIN txn t ON t.id = e.txn_id ORDER BY e.account_id, e.version",
            (*after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield LedgerEntry(*row)
        if len(page) < PAGE:
            return
        after = (page[-1][0], page[-1][1])


async def view_accounts(conn: Connection, of: int) -> AsyncIterator[ViewRow]:
    """The accounts of generation `of` in order of id."""
    beyond, after = b">=", FIRST
    while True:
        cursor = await conn.execute(
            b"SELECT account_id, currency, kind, balance, held, version, posted_at FROM account_view"
            b" WHERE generation = %s AND account_id " + beyond + b" %s ORDER BY account_id LIMIT %s",
            (of, after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield ViewRow(*row)
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]


async def statements(conn: Connection, of: int) -> AsyncIterator[StatementRow]:
    """The statements of generation `of` in order of account and version."""
    after = (FIRST, 0)
    while True:
        cursor = await conn.execute(
            "SELECT account_id, version, txn_id, kind, amount, held, balance_after, held_after, effective_at, posted_at"
            " FROM statement_view WHERE generation = %s AND (account_id, version) > (%s, %s)"
            " ORDER BY account_id, version LIMIT %s",
            (of, *after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield StatementRow(*row)
        if len(page) < PAGE:
            return
        after = (page[-1][0], page[-1][1])


async def days(conn: Connection, of: int) -> AsyncIterator[DayRow]:
    """The days of generation `of` in order of account and day."""
    after = (FIRST, date(1, 1, 1))
    while True:
        cursor = await conn.execute(
            "SELECT account_id, day, debits, credits, entries, closing_balance FROM daily_view"
            " WHERE generation = %s AND (account_id, day) > (%s, %s) ORDER BY account_id, day LIMIT %s",
            (of, *after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield DayRow(row[0], row[1], int(row[2]), int(row[3]), row[4], row[5])
        if len(page) < PAGE:
            return
        after = (page[-1][0], page[-1][1])


_CHAINED = (
    f"SELECT e.txn_id, {', '.join('e.' + name for name in rows.ENTRY_COLUMNS.split(', '))}, before.hash"  # noqa: S608
    " FROM entry e LEFT JOIN entry p ON p.account_id = e.account_id AND p.version = e.version - 1"
    " LEFT JOIN txn before ON before.id = p.txn_id WHERE e.txn_id = ANY(%s::uuid[])"
)
GENESIS = bytes(32)


async def transactions(conn: Connection) -> AsyncIterator[list[Transaction]]:
    """Pages of all transactions in order of id; entries know the hash before them (None where it is gone)."""
    after = FIRST
    while True:
        cursor = await conn.execute(
            f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id > %s ORDER BY id LIMIT %s".encode(),  # noqa: S608
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        if not page:
            return
        yield await _with_chained_entries(conn, page)
        after = page[-1][0]


async def _with_chained_entries(conn: Connection, page: Sequence[Any]) -> list[Transaction]:
    own: dict[UUID, list[Entry]] = {row[0]: [] for row in page}
    cursor = await conn.execute(_CHAINED.encode(), (plain(own),), binary=True)
    for row in await cursor.fetchall():
        entry = rows.entry(row[1:8], GENESIS if row[3] == 1 else row[8])
        own[row[0]].append(entry)
    return [rows.transaction(row, own[row[0]]) for row in page]


async def known(database: Database, ids: Sequence[UUID]) -> set[UUID]:
    """Those of `ids` that are transactions of the ledger now."""
    async with database.connection() as conn:
        cursor = await conn.execute("SELECT id FROM txn WHERE id = ANY(%s::uuid[])", (plain(ids),), binary=True)
        return {row[0] for row in await cursor.fetchall()}
