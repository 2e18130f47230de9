"""Generations of the read model: `rebuild` fills one beside the one that is read, and then changes which is read."""

from __future__ import annotations

from uuid import UUID

from chronicle_ledger.store.pool import Connection

DELETED_AT_ONCE = 2000
ACCOUNTS_AT_ONCE = 500
COMPARED_AT_ONCE = 10_000

_TABLES = {
    "statement_view": "generation, account_id, version",
    "daily_view": "generation, account_id, day",
    "account_view": "generation, account_id",
}


async def current(conn: Connection) -> int:
    """The generation that is read."""
    cursor = await conn.execute("SELECT generation FROM view_current WHERE id = 1")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def switch(conn: Connection, generation: int) -> None:
    """Read `generation` from now on; the caller holds the lock on the current one."""
    await conn.execute("UPDATE view_current SET generation = %s WHERE id = 1", (generation,))


async def others(conn: Connection, generation: int) -> list[int]:
    """Generations with rows that are not `generation`: replaced ones, and what an interrupted rebuild left."""
    found: set[int] = set()
    for table in _TABLES:
        # By jumps from one generation to the next: SELECT DISTINCT would read every row.
        at = -1
        while True:
            cursor = await conn.execute(
                f"SELECT generation FROM {table} WHERE generation > %s ORDER BY generation LIMIT 1".encode(),  # noqa: S608
                (at,),
            )
            row = await cursor.fetchone()
            if row is None:
                break
            at = int(row[0])
            found.add(at)
    return sorted(found - {generation})


async def delete_some(conn: Connection, generation: int) -> int:
    """Delete some rows of `generation`; 0 when none is left."""
    for table, key in _TABLES.items():
        cursor = await conn.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608
            f" (SELECT {key} FROM {table} WHERE generation = %s LIMIT {DELETED_AT_ONCE})".encode(),
            (generation,),
        )
        if cursor.rowcount:
            return cursor.rowcount
    return 0


async def delete_account(conn: Connection, generation: int, account: UUID) -> None:
    """Delete one account from `generation`, to be filled anew in the same transaction."""
    for table in _TABLES:
        await conn.execute(
            f"DELETE FROM {table} WHERE generation = %s AND account_id = %s".encode(),  # noqa: S608
            (generation, account),
        )


async def behind(conn: Connection, generation: int, after: UUID | None) -> tuple[list[tuple[UUID, int]], UUID | None]:
    """Accounts of one page (of ids after `after`) that `generation` has at an older version than the ledger, with the
    ledger's version; and the page's last id, None after the last page."""
    comparison = b">=" if after is None else b">"
    cursor = await conn.execute(
        b"SELECT a.id, a.version, v.version FROM (SELECT id, version FROM account WHERE id " + comparison + b" %s"
        b" ORDER BY id LIMIT %s) AS a LEFT JOIN account_view v ON v.generation = %s AND v.account_id = a.id"
        b" ORDER BY a.id",
        (after or UUID(int=0), ACCOUNTS_AT_ONCE, generation),
        binary=True,
    )
    page = await cursor.fetchall()
    late = [(row[0], row[1]) for row in page if row[2] is None or row[2] < row[1]]
    return late, (page[-1][0] if len(page) == ACCOUNTS_AT_ONCE else None)


async def older(
    conn: Connection, generation: int, than: int, after: UUID | None
) -> tuple[list[tuple[UUID, int]], UUID | None]:
    """Accounts of one page (from id `after` on) that `generation` has at an older version than generation `than`, with
    the version of the latter; and where the next page begins, None after the last one."""
    first = after or UUID(int=0)
    cursor = await conn.execute(
        b"SELECT account_id FROM account_view WHERE generation = %s AND account_id >= %s ORDER BY account_id"
        b" LIMIT 1 OFFSET %s",
        (than, first, COMPARED_AT_ONCE),
        binary=True,
    )
    row = await cursor.fetchone()
    following: UUID | None = row[0] if row else None
    bounds = {"new": generation, "old": than, "first": first, "last": following or UUID(int=2**128 - 1)}
    cursor = await conn.execute(
        b"SELECT o.account_id, o.version FROM account_view o LEFT JOIN account_view n ON n.generation = %(new)s"
        b" AND n.account_id = o.account_id AND n.account_id >= %(first)s AND n.account_id <= %(last)s"
        b" WHERE o.generation = %(old)s AND o.account_id >= %(first)s AND o.account_id <= %(last)s"
        b" AND (n.version IS NULL OR n.version < o.version)",
        bounds,
        binary=True,
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()], following
