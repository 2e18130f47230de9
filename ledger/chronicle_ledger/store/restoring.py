"""The mark of a ledger that is being put back from a backup."""

from __future__ import annotations

from chronicle_ledger.store.pool import Connection


async def restoring(conn: Connection) -> str | None:
    """Return which backup is being put back, or was and is not proven; None on a ledger in service."""
    cursor = await conn.execute("SELECT backup FROM restoring WHERE id = 1")
    row = await cursor.fetchone()
    return None if row is None else str(row[0])
