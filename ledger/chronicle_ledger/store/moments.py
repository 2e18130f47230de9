"""Where a moment lies among an account's entries, found by their versions.

Versions are dense and times on an account never run backwards, so the version of a moment is found by looking at some
versions between two bounds, again and again: a few looks whatever the number of entries, and no index over times, which
every posting would have to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.pool import Connection

LOOKS = 32
"""Versions looked at together: a million entries take four looks."""

ENTRIES = "entry WHERE account_id = %s"
STATEMENT = "statement_view WHERE generation = %s AND account_id = %s"


async def around(conn: Connection, source: str, key: Sequence[Any], moment: datetime) -> tuple[int, int]:
    """Versions before and after `moment`: what was posted before it is below the second, the rest above the first.

    `source` is ENTRIES or STATEMENT, `key` its parameters. Where versions are missing the two lie further apart, so
    whoever reads between them compares the times too.
    """
    cursor = await conn.execute(
        f"SELECT version FROM {source} ORDER BY version DESC LIMIT 1".encode(),  # noqa: S608 - a constant from above
        key,
        binary=True,
    )
    row = await cursor.fetchone()
    low, high = 0, (row[0] if row else 0) + 1
    while high - low > 1:
        step = max(1, (high - low) // (LOOKS + 1))
        cursor = await conn.execute(
            f"SELECT version, posted_at < %s FROM {source} AND version = ANY(%s::int8[])".encode(),  # noqa: S608
            (moment, *key, plain(range(low + step, high, step))),
            binary=True,
        )
        seen = await cursor.fetchall()
        if not seen:
            break
        low = max([low, *(version for version, before in seen if before)])
        high = min([high, *(version for version, before in seen if not before)])
    return low, high
