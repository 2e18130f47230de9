"""The outbox: events that JetStream has not acknowledged yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chronicle_ledger.store.pool import Connection

# A queue leaves a tombstone for each event, and a scan reads them all until they are collected: 25 hours by default.
# The collector comes for a range whose garbage is on average twice this old. A minute is what a proof has to read the
# outbox in, which it does first.
_SHORTEN = "ALTER TABLE outbox CONFIGURE ZONE USING gc.ttlseconds = 60"


@dataclass(frozen=True, slots=True)
class Pending:
    """One event that waits; `payload` is the message, byte for byte."""

    shard: int
    id: UUID
    payload: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait and how old the oldest is, in seconds by the database's clock."""

    events: int
    oldest_seconds: float


async def read(conn: Connection, shards: Sequence[int], limit: int) -> list[Pending]:
    """Up to `limit` rows of `shards`, oldest first among those read.

    Chosen by presence alone: a position (a sequence, a time) would skip rows of transactions that commit late.
    """
    cursor = await conn.execute(
        "SELECT shard, id, payload, created_at FROM outbox WHERE shard = ANY(%s) LIMIT %s", (list(shards), limit)
    )
    rows = [Pending(*row) for row in await cursor.fetchall()]
    rows.sort(key=lambda row: (row.created_at, row.id))
    return rows


async def delete(conn: Connection, rows: Iterable[Pending]) -> int:
    """Remove acknowledged events; return how many were still there (another relay may have been faster)."""
    by_shard: dict[int, list[UUID]] = defaultdict(list)
    for row in rows:
        by_shard[row.shard].append(row.id)
    deleted = 0
    for shard, ids in sorted(by_shard.items()):
        cursor = await conn.execute("DELETE FROM outbox WHERE shard = %s AND id = ANY(%s)", (shard, ids))
        deleted += cursor.rowcount
    return deleted


async def replace(conn: Connection, id_: UUID, shards: Sequence[int], right: Pending | None) -> int:
    """Put `right` in the place of the rows of `id_` in `shards` (None: nothing); return how many rows were there still.

    Where none was, because a relay was faster, nothing is put there either. Belongs in a transaction.
    """
    cursor = await conn.execute("DELETE FROM outbox WHERE id = %s AND shard = ANY(%s)", (id_, list(shards)))
    if right is not None and cursor.rowcount:
        await conn.execute(
            "INSERT INTO outbox (shard, id, payload, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (right.shard, right.id, right.payload, right.created_at),
        )
    return cursor.rowcount


async def backlog(conn: Connection) -> Backlog:
    """What waits now."""
    cursor = await conn.execute("SELECT count(*), COALESCE(extract(epoch FROM now() - min(created_at)), 0) FROM outbox")
    row = await cursor.fetchone()
    return Backlog(int(row[0]), max(0.0, float(row[1]))) if row else Backlog(0, 0.0)


async def shorten_tombstones(conn: Connection) -> None:
    """On CockroachDB, let deleted rows of the outbox be collected after a few minutes instead of a day."""
    if conn.info.parameter_status("crdb_version"):
        await conn.execute(_SHORTEN)
