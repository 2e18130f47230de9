"""The writing of a batch with one guarantee turned off, for negative controls. Never reached otherwise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from uuid import UUID

from psycopg import AsyncConnection

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.book import Outcome
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store import write
from chronicle_ledger.store.pool import Connection

LOST_EVENT = 20
"""Every so many-th event is lost when the outbox is written outside the transaction."""

READ_TO_WRITE_SECONDS = 0.02
"""What passes between reading and writing without the version guard, for each outcome of a batch. An update is lost
only where two batches read before either wrote; on a busy machine they may go one after the other, and then there is
nothing to find. So large batches, which contention makes, wait long, and the small ones of a steady load hardly at all.
"""

LONGEST_SECONDS = 0.5
"""However large the batch: its connection is cut when the statement timeout is over."""

_written = itertools.count(1)


async def write_sabotaged(
    connection: Connection, outcomes: Sequence[Outcome], before: dict[UUID, Account], sabotage: Sabotage
) -> None:
    """Write without the version guard, or without the outbox in the transaction."""
    if sabotage is Sabotage.VERSION_CHECK:
        # Read without locks, written whatever the version is now: the later of two writers wins, and the entry that
        # would have shown it is skipped.
        await asyncio.sleep(min(READ_TO_WRITE_SECONDS * len(outcomes), LONGEST_SECONDS))
        async with connection.pipeline():
            await connection.execute("BEGIN", prepare=False)
            await connection.execute(write.TXN, write.transaction_arrays(outcomes))
            await write.write_accounts(connection, outcomes, before, guarded=False)
            await connection.execute(write.ENTRY + "ON CONFLICT DO NOTHING", write.entry_arrays(outcomes))
            await write.write_holds(connection, outcomes)
            await write.write_reversals(connection, outcomes)
            await connection.execute(write.OUTBOX, write.outbox_arrays(outcomes))
            await connection.execute("COMMIT", prepare=False)
        return
    async with connection.pipeline():
        await connection.execute(write.TXN, write.transaction_arrays(outcomes))
        await write.write_accounts(connection, outcomes, before)
        await connection.execute(write.ENTRY, write.entry_arrays(outcomes))
        await write.write_holds(connection, outcomes)
        await write.write_reversals(connection, outcomes)
        await connection.execute("COMMIT", prepare=False)
    kept = [outcome for outcome in outcomes if next(_written) % LOST_EVENT]
    if kept:
        await connection.execute(write.OUTBOX, write.outbox_arrays(kept))


async def drop_floor_check(url: str) -> None:
    """Take the table's own check of floors away, as the table's owner: no process of the ledger has that right."""
    async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
        await connection.execute("ALTER TABLE account DROP CONSTRAINT IF EXISTS account_floor")
