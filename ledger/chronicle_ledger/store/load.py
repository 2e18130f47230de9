"""Loading what a batch needs, locked, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

# In order of id, so that two batches that share accounts queue instead of deadlocking.
_ACCOUNTS = f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id = ANY(%s::uuid[]) ORDER BY id"  # noqa: S608
_LOCKED_ACCOUNTS = _ACCOUNTS + " FOR UPDATE"
_TRANSACTIONS = f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id = ANY(%s::uuid[])"  # noqa: S608
# A hold changes only under the lock of its account, so it needs none of its own.
_HOLDS = f"SELECT {rows.HOLD_COLUMNS} FROM hold WHERE id = ANY(%s::uuid[])"  # noqa: S608
_REVERSALS = "SELECT reverses, txn_id FROM reversal WHERE reverses = ANY(%s::uuid[])"
_ENTRIES = f"SELECT txn_id, {rows.ENTRY_COLUMNS} FROM entry WHERE txn_id = ANY(%s::uuid[])"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Need:
    """The rows to load: accounts to lock, transactions that may exist already, holds, and targets of reversals."""

    accounts: set[UUID]
    transactions: Sequence[UUID]
    holds: Sequence[UUID] = ()
    targets: Sequence[UUID] = ()


async def load_book(connection: Connection, need: Need, *, lock: bool) -> Book:
    """Begin a transaction and load `need`; with `lock`, its accounts stay locked until the transaction ends.

    The transaction is left open. On PostgreSQL (READ COMMITTED) each statement sees what was committed before it
    began; the accounts are locked first, so what follows is no older than the locks.
    """
    ids = sorted(need.accounts, key=lambda id_: id_.int)
    transactions = [*need.transactions, *need.targets]
    holds = reversals = None
    async with connection.pipeline():
        if lock:
            await connection.execute("BEGIN", prepare=False)
        accounts = await connection.execute(_LOCKED_ACCOUNTS if lock else _ACCOUNTS, (plain(ids),), binary=True)
        existing = await connection.execute(_TRANSACTIONS, (plain(transactions),), binary=True)
        if need.holds:
            holds = await connection.execute(_HOLDS, (plain(need.holds),), binary=True)
        if need.targets:
            reversals = await connection.execute(_REVERSALS, (plain(need.targets),), binary=True)
    book = Book(loaded=need.accounts)
    for row in await accounts.fetchall():
        book.accounts[row[0]] = rows.account(row)
    if holds is not None:
        book.holds = {row[0]: rows.hold(row) for row in await holds.fetchall()}
    if reversals is not None:
        book.reversals = {row[0]: row[1] for row in await reversals.fetchall()}
    found = await existing.fetchall()
    if found:
        # Only replays and reversals come here, so the second round trip is rare.
        stored = await with_entries(connection, found)
        wanted = set(need.transactions)
        book.transactions = {id_: txn for id_, txn in stored.items() if id_ in wanted}
        book.targets = {id_: stored[id_] for id_ in need.targets if id_ in stored}
    return book


async def with_entries(connection: Connection, found: Iterable[Sequence[object]]) -> dict[UUID, Transaction]:
    """Transactions by id, from their rows (TXN_COLUMNS) and the entries that are read for them."""
    by_id = {row[0]: row for row in found}
    entries: dict[object, list[Entry]] = {id_: [] for id_ in by_id}
    cursor = await connection.execute(_ENTRIES, (plain(by_id),), binary=True)
    for row in await cursor.fetchall():
        entries[row[0]].append(rows.entry(row[1:]))
    return {row[0]: rows.transaction(row, entries[id_]) for id_, row in by_id.items() if isinstance(row[0], UUID)}
