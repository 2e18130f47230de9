"""The outbox: events that JetStream has not acknowledged yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

COUNTED = 10_000
"""Events counted at most. Each is read with its payload, and the count stands before every read of the read model."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One event that waits; `payload` is the message, byte for byte."""

    shard: int
    id: UUID
    payload: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait and how old the oldest is, in seconds by the database's clock.

    Where `more`, counting ended at `events`: at least so many wait, and the oldest is at least so old.
    """

    events: int
    oldest_seconds: float
    more: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits, without its message, of which it gives the bytes."""

    shard: int
    id: UUID
    bytes: int
    created_at: datetime


_WAITING = "SELECT shard, id, octet_length(payload), created_at FROM outbox WHERE shard = ANY(%s)"


async def waiting(conn: Connection, shards: Sequence[int], limit: int, largest: int) -> list[Waiting]:
    """Up to `limit` rows of `shards` with messages of up to `largest` bytes, oldest first among those read.

    Chosen by presence alone: a position (a sequence, a time) would skip rows of transactions that commit late. Without
    the messages, which may be a thousand times as large as others: `messages` brings as many as there is room for.
    """
    cursor = await conn.execute(f"{_WAITING} AND octet_length(payload) <= %s LIMIT %s", (list(shards), largest, limit))
    rows = [Waiting(*row) for row in await cursor.fetchall()]
    rows.sort(key=lambda row: (row.created_at, row.id))
    return rows


async def larger(conn: Connection, shards: Sequence[int], bytes_: int, limit: int) -> list[Waiting]:
    """Up to `limit` rows of `shards` whose message is larger than `bytes_`."""
    cursor = await conn.execute(f"{_WAITING} AND octet_length(payload) > %s LIMIT %s", (list(shards), bytes_, limit))
    return [Waiting(*row) for row in await cursor.fetchall()]


async def messages(conn: Connection, rows: Iterable[Waiting]) -> list[Pending]:
    """`rows` with their messages, oldest first; those that are gone (another relay was faster) are left out."""
    wanted = list(rows)
    cursor = await conn.execute(
        "SELECT o.shard, o.id, o.payload, o.created_at FROM unnest(%s::int2[], %s::uuid[]) AS w(shard, id)"
        " JOIN outbox o ON o.shard = w.shard AND o.id = w.id",
        (plain(row.shard for row in wanted), plain(row.id for row in wanted)),
    )
    pending = [Pending(*row) for row in await cursor.fetchall()]
    pending.sort(key=lambda row: (row.created_at, row.id))
    return pending


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


async def backlog(conn: Connection, most: int = COUNTED) -> Backlog:
    """What waits now, counted up to `most` events."""
    cursor = await conn.execute(
        "SELECT count(*), COALESCE(extract(epoch FROM now() - min(created_at)), 0)"
        " FROM (SELECT created_at FROM outbox LIMIT %s) AS waiting",
        (most + 1,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("an aggregate without groups has one row")
    return Backlog(min(int(row[0]), most), max(0.0, float(row[1])), more=int(row[0]) > most)
