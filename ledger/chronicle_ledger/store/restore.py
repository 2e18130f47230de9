"""Putting transactions back as they were posted, in one database transaction that its caller opened and judges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.book import Outcome
from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.domain.holds import as_placed
from chronicle_ledger.domain.transaction import HoldState, Transaction, TransactionKind
from chronicle_ledger.store import audit, write
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

_ENDS = {
    TransactionKind.CAPTURE: HoldState.CAPTURED,
    TransactionKind.RELEASE: HoldState.RELEASED,
    TransactionKind.EXPIRY: HoldState.EXPIRED,
}


async def remove(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Take transactions and their entries away; return the accounts of these entries."""
    cursor = await conn.execute(
        "DELETE FROM entry WHERE txn_id = ANY(%s::uuid[]) RETURNING account_id", (plain(ids),), binary=True
    )
    accounts = {row[0] for row in await cursor.fetchall()}
    await conn.execute("DELETE FROM txn WHERE id = ANY(%s::uuid[])", (plain(ids),))
    return accounts


async def insert(conn: Connection, transactions: Sequence[Transaction]) -> None:
    """Write transactions and entries, and the rows by which holds and reversals are looked up."""
    outcomes = [Outcome(transaction, ()) for transaction in transactions]
    await conn.execute(write.TXN, write.transaction_arrays(outcomes))
    await conn.execute(write.ENTRY, write.entry_arrays(outcomes))
    for transaction in transactions:
        if transaction.reverses is not None:
            await conn.execute(
                "INSERT INTO reversal (reverses, txn_id) VALUES (%s, %s)"
                " ON CONFLICT (reverses) DO UPDATE SET txn_id = excluded.txn_id",
                (transaction.reverses, transaction.id),
            )
    for transaction in transactions:
        if transaction.kind is TransactionKind.HOLD:
            await _place(conn, transaction)
    for transaction in transactions:
        if transaction.kind in _ENDS:
            moved = next((entry.amount for entry in transaction.entries if entry.held), 0)
            await conn.execute(
                "UPDATE hold SET state = %s, captured = %s WHERE id = %s",
                (_ENDS[transaction.kind].value, -moved, transaction.hold_id),
            )


async def _place(conn: Connection, transaction: Transaction) -> None:
    hold = as_placed(transaction)
    await conn.execute(
        "INSERT INTO hold (id, account_id, destination_id, amount, captured, state, expires_at, expiry_shard)"
        " VALUES (%s, %s, %s, %s, 0, 'pending', %s, %s) ON CONFLICT (id) DO UPDATE SET"
        " account_id = excluded.account_id, destination_id = excluded.destination_id, amount = excluded.amount,"
        " expires_at = excluded.expires_at, expiry_shard = excluded.expiry_shard",
        (
            hold.id, hold.account_id, hold.destination_id, hold.amount, hold.expires_at,
            hold.id.int % write.EXPIRY_SHARDS,
        ),
    )  # fmt: skip


async def account(conn: Connection, id_: UUID) -> None:
    """Make an account's row as its entries say, or take it away where there are none. Raises Undecodable."""
    settings: dict[str, Any] = {}
    first: audit.LedgerEntry | None = None
    last: audit.LedgerEntry | None = None
    async for entry in audit.entries(conn, id_):
        settings.update(entry.settings())
        first, last = first or entry, entry
    if first is None or last is None:
        await conn.execute("DELETE FROM account WHERE id = %s", (id_,))
        return
    times = (first.posted_at, last.posted_at)
    if not all(isinstance(moment, datetime) for moment in times) or not audit.DECLARED.keys() <= settings.keys():
        raise audit.Undecodable(f"account {id_} has no opening, or an entry at no time")
    await conn.execute(
        "INSERT INTO account (id, currency, kind, balance, held, floor, version, status, head, metadata, created_at,"
        " updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET"
        " currency = excluded.currency, kind = excluded.kind, balance = excluded.balance, held = excluded.held,"
        " floor = excluded.floor, version = excluded.version, status = excluded.status, head = excluded.head,"
        " metadata = excluded.metadata, created_at = excluded.created_at, updated_at = excluded.updated_at",
        (
            id_, settings["currency"], str(settings["kind"]), last.balance_after, last.held_after, settings["floor"],
            last.version, str(settings["status"]), last.hash, canonical_json(settings["metadata"]), *times,
        ),
    )  # fmt: skip
