"""Putting a whole ledger back into empty tables. The tables' owner does so; no role of the service may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.book import Outcome
from chronicle_ledger.domain.transaction import Hold, Transaction
from chronicle_ledger.store import write
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

LEDGER: Mapping[str, str] = {
    "entry": "account_id, version",
    "txn": "id",
    "reversal": "reverses",
    "hold": "id",
    "outbox": "shard, id",
    "sealed_account": "number, account_id",
    "seal": "number",
    "account": "id",
}
"""The tables of a ledger's truth, with their keys."""

CLEARED_AT_ONCE = 5000

_ONCE = " ON CONFLICT DO NOTHING"
"""What was written by a commit whose answer was lost is met again; a row that was there before, the proof finds."""


async def filled(conn: Connection) -> list[str]:
    """Return the tables of the ledger that have rows."""
    found = []
    for table in LEDGER:
        cursor = await conn.execute(f"SELECT 1 FROM {table} LIMIT 1".encode())  # noqa: S608 - a constant from above
        if await cursor.fetchone() is not None:
            found.append(table)
    return found


async def clear_some(conn: Connection) -> int:
    """Delete some rows of the ledger; 0 when none is left."""
    for table, key in LEDGER.items():
        cursor = await conn.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {CLEARED_AT_ONCE})".encode()  # noqa: S608
        )
        if cursor.rowcount:
            return cursor.rowcount
    return 0


async def mark(conn: Connection, backup: str) -> None:
    """Mark the ledger as being put back from `backup`."""
    await conn.execute(
        "INSERT INTO restoring (id, backup, since) VALUES (1, %s, now())"
        " ON CONFLICT (id) DO UPDATE SET backup = excluded.backup, since = excluded.since",
        (backup,),
    )


async def unmark(conn: Connection) -> None:
    """Take the mark away: the ledger is proven."""
    await conn.execute("DELETE FROM restoring WHERE id = 1")


async def transactions(conn: Connection, found: Sequence[Transaction]) -> None:
    """Write transactions with entries, reversals and, since the stream has none of them, events."""
    outcomes = [Outcome(transaction, ()) for transaction in found]
    async with conn.pipeline():
        await conn.execute(write.TXN + _ONCE, write.transaction_arrays(outcomes))
        await conn.execute(write.ENTRY + _ONCE, write.entry_arrays(outcomes))
        await _reversals(conn, found)
        await conn.execute(write.OUTBOX + _ONCE, write.outbox_arrays(outcomes))


async def _reversals(conn: Connection, found: Sequence[Transaction]) -> None:
    reversals = [transaction for transaction in found if transaction.reverses is not None]
    if reversals:
        arrays = [plain([it.reverses for it in reversals]), plain([it.id for it in reversals])]
        await conn.execute(write.REVERSAL + _ONCE, arrays)


async def accounts(conn: Connection, found: Sequence[Account]) -> None:
    """Write accounts as they are."""
    await conn.execute(write.OPEN + _ONCE, write.open_arrays(found))


async def holds(conn: Connection, found: Sequence[Hold]) -> None:
    """Write holds as they are."""
    await conn.execute(write.HOLD + _ONCE, write.hold_arrays(found))


async def applied(conn: Connection, times: Mapping[str, datetime]) -> None:
    """Let migrations, by name, have been applied when they were in the ledger that was backed up."""
    for name, moment in times.items():
        await conn.execute("UPDATE schema_migration SET applied_at = %s WHERE name = %s", (moment, name))
