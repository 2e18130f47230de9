"""Loading what a batch needs, locked, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.transaction import Entry, Hold, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

# In order of id, so that two batches that share accounts queue instead of deadlocking.
_ACCOUNTS = f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id = ANY(%s::uuid[]) ORDER BY id"  # noqa: S608
_LOCKED_ACCOUNTS = _ACCOUNTS + " FOR UPDATE"
_TRANSACTIONS = f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id = ANY(%s::uuid[])"  # noqa: S608
# A hold changes only under the lock of its account, so it needs none of its own.
_HOLDS = f"SELECT {rows.HOLD_COLUMNS} FROM hold WHERE id = ANY(%s::uuid[])"  # noqa: S608
_ENDED = (
    f"SELECT {rows.HOLD_COLUMNS} FROM hold WHERE account_id = ANY(%s::uuid[]) AND state = 'pending'"  # noqa: S608
    " AND expires_at <= clock_timestamp() LIMIT %s"
)
# Not now(), which is the time at which the transaction began: it may have waited for its locks since.
_MOMENT = "SELECT clock_timestamp()"
_REVERSALS = "SELECT reverses, txn_id FROM reversal WHERE reverses = ANY(%s::uuid[])"
_ENTRIES = f"SELECT txn_id, {rows.ENTRY_COLUMNS} FROM entry WHERE txn_id = ANY(%s::uuid[])"  # noqa: S608

MOST_ENDED = 500
"""Holds that one batch expires at most before it goes on; a batch is to stay within its statements' time."""


@dataclass(frozen=True, slots=True)
class Need:
    """The rows to load: accounts to lock, transactions that may exist already, holds, targets of reversals, and the
    accounts of which the holds that are over are wanted too."""

    accounts: set[UUID]
    transactions: Sequence[UUID]
    holds: Sequence[UUID] = ()
    targets: Sequence[UUID] = ()
    ended_on: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded. `moment` is the database's time (UTC), read after everything else; `ended` are the holds that
    are over, of which there may be more where `more_ended`."""

    book: Book
    moment: datetime
    ended: Sequence[Hold] = ()
    more_ended: bool = False


async def load_book(
    connection: Connection, need: Need, *, lock: bool, most_ended: int = MOST_ENDED, limits: Sequence[str] = ()
) -> Loaded:
    """Begin a transaction and load `need`; with `lock`, its accounts stay locked until the transaction ends. `limits`
    are statements that the transaction begins with.

    The transaction is left open. On PostgreSQL (READ COMMITTED) each statement sees what was committed before it
    began; the accounts are locked first, so what follows is no older than the locks.
    """
    ids = sorted(need.accounts, key=lambda id_: id_.int)
    transactions = [*need.transactions, *need.targets]
    holds = reversals = over = None
    async with connection.pipeline():
        if lock:
            await connection.execute("BEGIN", prepare=False)
            for statement in limits:
                await connection.execute(statement.encode(), prepare=False)
        accounts = await connection.execute(_LOCKED_ACCOUNTS if lock else _ACCOUNTS, (plain(ids),), binary=True)
        existing = await connection.execute(_TRANSACTIONS, (plain(transactions),), binary=True)
        if need.holds:
            holds = await connection.execute(_HOLDS, (plain(need.holds),), binary=True)
        if need.targets:
            reversals = await connection.execute(_REVERSALS, (plain(need.targets),), binary=True)
        if need.ended_on:
            over = await connection.execute(_ENDED, (plain(need.ended_on), most_ended + 1), binary=True)
        moment = await connection.execute(_MOMENT, binary=True)
    book = Book(loaded=need.accounts)
    for row in await accounts.fetchall():
        book.accounts[row[0]] = rows.account(row)
    if holds is not None:
        book.holds = {row[0]: rows.hold(row) for row in await holds.fetchall()}
    ended = [] if over is None else [rows.hold(row) for row in await over.fetchall()]
    if len(ended) <= most_ended:
        book.swept = set(need.ended_on)
    book.holds |= {hold.id: hold for hold in ended}
    if reversals is not None:
        book.reversals = {row[0]: row[1] for row in await reversals.fetchall()}
    found = await existing.fetchall()
    if found:
        # Only replays and reversals come here, so the second round trip is rare.
        stored = await with_entries(connection, found)
        wanted = set(need.transactions)
        book.transactions = {id_: txn for id_, txn in stored.items() if id_ in wanted}
        book.targets = {id_: stored[id_] for id_ in need.targets if id_ in stored}
    [[now]] = await moment.fetchall()
    return Loaded(book, now.astimezone(UTC), ended[:most_ended], more_ended=len(ended) > most_ended)


async def with_entries(connection: Connection, found: Iterable[Sequence[object]]) -> dict[UUID, Transaction]:
    """Transactions by id, from their rows (TXN_COLUMNS) and the entries that are read for them."""
    by_id = {row[0]: row for row in found}
    entries: dict[object, list[Entry]] = {id_: [] for id_ in by_id}
    cursor = await connection.execute(_ENTRIES, (plain(by_id),), binary=True)
    for row in await cursor.fetchall():
        entries[row[0]].append(rows.entry(row[1:]))
    return {row[0]: rows.transaction(row, entries[id_]) for id_, row in by_id.items() if isinstance(row[0], UUID)}
