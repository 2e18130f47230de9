"""Reading the whole ledger at one point in time, in pages, so that memory stays bounded however large it is.

Each row comes, whatever it holds: what cannot be decoded is named, and stops nothing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.account import AccountKind, AccountStatus, system_account_ids
from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.domain.hashing import GENESIS
from chronicle_ledger.domain.transaction import Entry, Transaction, TransactionKind
from chronicle_ledger.store import rows
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.guarded import Day, Moment, Unfit, fetch
from chronicle_ledger.store.pool import Connection, Database

PAGE = 1000
"""Rows read at once: some milliseconds of work between two looks at other requests."""

STATEMENT_SECONDS = 30

OUTSIDE: Mapping[str, Any] = {"kind": AccountKind.SYSTEM, "floor": None, "status": AccountStatus.OPEN, "metadata": {}}
"""How accounts of the outside world are opened."""

DECLARED: Mapping[str, tuple[type, ...]] = {
    "currency": (str,),
    "kind": (str,),
    "floor": (int, type(None)),
    "status": (str,),
    "metadata": (dict,),
}
"""What transactions set on accounts, and as which types."""


class Undecodable(ValueError):
    """What a row says makes no sense; the text says why."""


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
    created_at: Moment
    updated_at: Moment


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
    posted_at: Moment
    txn_posted_at: Moment | None
    effective_at: Moment | None
    posted_by: str | None
    details: str | None

    @property
    def day(self) -> date | None:
        """The UTC day of posting; None for a time without one."""
        if isinstance(self.posted_at, Unfit):
            return None
        try:
            return self.posted_at.astimezone(UTC).date()
        except OverflowError:
            return None

    def settings(self) -> dict[str, Any]:
        """What the transaction set on this account, of DECLARED. Raises Undecodable."""
        if self.details is None:
            return {}
        try:
            details = rows.mapping(self.details)
        except (ValueError, RecursionError) as error:
            raise Undecodable(f"its details are not JSON ({_brief(error)})") from None
        if details.get("account_id") == str(self.account_id):
            return _settings(details, whole=self.kind == TransactionKind.ACCOUNT_OPENED)
        if self.kind == TransactionKind.ACCOUNT_OPENED and self.account_id in system_account_ids(self.currency):
            # Opened on the way, since it was missing: an account of the outside world, all of which are alike.
            return {**OUTSIDE, "currency": self.currency}
        raise Undecodable("it names another account")


def _settings(details: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    found = {name: details[name] for name in DECLARED if name in details}
    if whole and len(found) < len(DECLARED):
        raise Undecodable(f"its details lack {', '.join(name for name in DECLARED if name not in found)}")
    for name, value in found.items():
        if not isinstance(value, DECLARED[name]) or isinstance(value, bool):
            raise Undecodable(f"its details have a {name} that is no {name}")
    return found


def _brief(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


@dataclass(frozen=True, slots=True)
class ViewRow:
    """An account of the read model. `posted_at` is when its last entry there was posted."""

    id: UUID
    currency: str
    kind: str
    balance: int
    held: int
    version: int
    posted_at: Moment


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
    effective_at: Moment
    posted_at: Moment
    posted_by: str | None


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day of an account in the read model."""

    account_id: UUID
    day: Day
    debits: Decimal
    credits: Decimal
    entries: int
    closing_balance: int


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Transactions in order of id, up to and with the id `last`. `faults` are (id, what is wrong) of rows that cannot
    be decoded, which are left out, or that are not spelled as they were posted."""

    transactions: list[Transaction]
    faults: list[tuple[UUID, str]]
    last: UUID


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


async def pages(
    conn: Connection, select: str, key: str, page: int = PAGE, *, where: str = "TRUE", fixed: Sequence[Any] = ()
) -> AsyncIterator[list[Any]]:
    """Pages of `select … FROM …` in order of `key`, from the very first row. `select` begins with the columns of
    `key`."""
    width = len(key.split(","))
    beyond, after = where, tuple(fixed)
    while True:
        query = f"{select} WHERE {beyond} ORDER BY {key} LIMIT %s"
        found = await fetch(conn, query.encode(), (*after, page))
        if found:
            yield found
        if len(found) < page:
            return
        beyond = f"{where} AND ({key}) > ({', '.join(['%s'] * width)})"
        after = (*fixed, *found[-1][:width])


async def generation(conn: Connection) -> int | None:
    """The generation of the read model that is read now; None where nothing says so, or more than one thing does."""
    cursor = await conn.execute("SELECT id, generation FROM view_current ORDER BY id LIMIT 2")
    found = await cursor.fetchall()
    return int(found[0][1]) if len(found) == 1 and found[0][0] == 1 else None


async def outbox(conn: Connection) -> AsyncIterator[list[tuple[int, UUID, str, Moment]]]:
    """Pages of (shard, transaction id, payload, created_at) that wait; also in shards that no relay looks into."""
    async for page in pages(conn, "SELECT shard, id, payload, created_at FROM outbox", "shard, id"):
        yield [(row[0], row[1], row[2], row[3]) for row in page]


async def accounts(conn: Connection) -> AsyncIterator[LedgerAccount]:
    """All accounts in order of id."""
    columns = "id, currency, balance, held, floor, version, head, kind, status, metadata, created_at, updated_at"
    async for page in pages(conn, f"SELECT {columns} FROM account", "id"):  # noqa: S608
        for row in page:
            yield LedgerAccount(*row)


# The page is cut first and joined after, so that no planner joins the rest of the table.
_ENTRIES = (
    "SELECT e.account_id, e.version, e.txn_id, e.currency, e.amount, e.held, e.balance_after, e.held_after,"
    " t.hash, t.kind, e.posted_at, t.posted_at, t.effective_at, t.posted_by,"
    " CASE WHEN t.kind IN ('account_opened', 'account_updated') THEN t.details END"
    " FROM (SELECT * FROM entry WHERE {beyond} ORDER BY account_id, version LIMIT %s) AS e"
    " LEFT JOIN txn t ON t.id = e.txn_id ORDER BY e.account_id, e.version"
)


async def entries(conn: Connection, account: UUID | None = None) -> AsyncIterator[LedgerEntry]:
    """All entries in order of account and version; those of `account` alone where it is given."""
    where = "TRUE" if account is None else "account_id = %s"
    fixed: tuple[Any, ...] = () if account is None else (account,)
    beyond, after = where, fixed
    while True:
        page = await fetch(conn, _ENTRIES.format(beyond=beyond).encode(), (*after, PAGE))
        for row in page:
            yield LedgerEntry(*row)
        if len(page) < PAGE:
            return
        beyond, after = f"{where} AND (account_id, version) > (%s, %s)", (*fixed, page[-1][0], page[-1][1])


async def view_accounts(conn: Connection, of: int) -> AsyncIterator[ViewRow]:
    """The accounts of generation `of` in order of id."""
    columns = "account_id, currency, kind, balance, held, version, posted_at"
    select = f"SELECT {columns} FROM account_view"  # noqa: S608
    async for page in pages(conn, select, "account_id", where="generation = %s", fixed=(of,)):
        for row in page:
            yield ViewRow(*row)


async def statements(conn: Connection, of: int) -> AsyncIterator[StatementRow]:
    """The statements of generation `of` in order of account and version."""
    columns = "account_id, version, txn_id, kind, amount, held, balance_after, held_after, effective_at, posted_at"
    columns += ", posted_by"
    select = f"SELECT {columns} FROM statement_view"  # noqa: S608
    async for page in pages(conn, select, "account_id, version", where="generation = %s", fixed=(of,)):
        for row in page:
            yield StatementRow(*row)


async def days(conn: Connection, of: int) -> AsyncIterator[DayRow]:
    """The days of generation `of` in order of account and day."""
    select = "SELECT account_id, day, debits, credits, entries, closing_balance FROM daily_view"
    async for page in pages(conn, select, "account_id, day", where="generation = %s", fixed=(of,)):
        for row in page:
            yield DayRow(*row)


_CHAINED = (
    f"SELECT e.txn_id, {', '.join('e.' + name for name in rows.ENTRY_COLUMNS.split(', '))}, before.hash"  # noqa: S608
    " FROM entry e LEFT JOIN entry p ON p.account_id = e.account_id AND p.version = e.version - 1"
    " LEFT JOIN txn before ON before.id = p.txn_id WHERE e.txn_id = ANY(%s::uuid[])"
)


async def transactions(conn: Connection) -> AsyncIterator[TransactionPage]:
    """Pages of all transactions in order of id; entries know the hash before them (None where it is gone)."""
    async for page in pages(conn, f"SELECT {rows.TXN_COLUMNS} FROM txn", "id"):  # noqa: S608
        yield await _with_chained_entries(conn, page)


async def _with_chained_entries(conn: Connection, page: Sequence[Any]) -> TransactionPage:
    own: dict[UUID, list[Entry]] = {row[0]: [] for row in page}
    cursor = await conn.execute(_CHAINED.encode(), (plain(own),), binary=True)
    for row in await cursor.fetchall():
        entry = rows.entry(row[1:8], GENESIS if row[3] == 1 else row[8])
        own[row[0]].append(entry)
    found: list[Transaction] = []
    faults: list[tuple[UUID, str]] = []
    for row in page:
        try:
            transaction = _decoded(row, own[row[0]])
            faults.extend((row[0], fault) for fault in _misspelled(transaction, row[6], row[7]))
        except Undecodable as error:
            faults.append((row[0], f"cannot be read: {error}"))
        else:
            found.append(transaction)
    return TransactionPage(found, faults, page[-1][0])


def _decoded(row: Sequence[Any], entries: Sequence[Entry]) -> Transaction:
    """The transaction of a row of TXN_COLUMNS. Raises Undecodable."""
    for value, name in ((row[3], "effective_at"), (row[4], "posted_at")):
        if isinstance(value, Unfit):
            raise Undecodable(f"its {name} is {value}")
    try:
        return rows.transaction(row, entries)
    except RecursionError:
        raise Undecodable("its metadata or details are nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Undecodable(f"its metadata or details are not JSON ({_brief(error)})") from None
    except ValueError as error:
        raise Undecodable(_brief(error)) from None


def _misspelled(transaction: Transaction, metadata: str, details: str) -> list[str]:
    """What says the same as what was posted in other bytes. Raises Undecodable for what no caller can have posted."""
    faults = []
    for name, value, text in (
        ("metadata", transaction.metadata, metadata),
        ("details", transaction.details, details),
    ):
        try:
            same = text == "{}" or canonical_json(value) == text
        except (ValueError, RecursionError) as error:
            raise Undecodable(f"its {name} are not JSON ({_brief(error)})") from None
        if not same:
            faults.append(f"has {name} that are not spelled as they were posted")
    return faults


async def known(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Those of `ids` that are transactions of the ledger now."""
    cursor = await conn.execute("SELECT id FROM txn WHERE id = ANY(%s::uuid[])", (plain(ids),), binary=True)
    return {row[0] for row in await cursor.fetchall()}
