"""Leases: which process does which piece of work. All times are the database's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chronicle_ledger.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Share:
    """How many processes of the role are alive (this one included), and which leases nobody else holds now."""

    members: int
    available: list[str]


async def beat(conn: Connection, role: str, worker: str, seconds: float) -> None:
    """Say that `worker` lives for `seconds` more."""
    await conn.execute(
        "INSERT INTO worker (role, id, expires_at) VALUES (%s, %s, now() + %s * interval '1 second')"
        " ON CONFLICT (role, id) DO UPDATE SET expires_at = excluded.expires_at",
        (role, worker, seconds),
    )


async def sweep(conn: Connection, role: str) -> None:
    """Remove the rows of dead workers. A minute past its end a row says nothing any more; a name that comes back writes
    a new one."""
    await conn.execute("DELETE FROM worker WHERE role = %s AND expires_at < now() - interval '1 minute'", (role,))


async def share(conn: Connection, role: str, names: Sequence[str], holder: str) -> Share:
    """Who lives, and those of `names` that nobody else holds now."""
    cursor = await conn.execute(
        "SELECT NULL::TEXT, count(*) FROM worker WHERE role = %s AND expires_at >= now()"
        " UNION ALL SELECT name, 0 FROM lease WHERE name = ANY(%s) AND holder <> %s AND expires_at >= now()",
        (role, list(names), holder),
    )
    rows = await cursor.fetchall()
    taken = {name for name, _ in rows if name is not None}
    members = sum(int(count) for _, count in rows)
    return Share(max(1, members), [name for name in names if name not in taken])


async def leave(conn: Connection, role: str, worker: str) -> None:
    """Give up the membership and every lease at once, so that others need not wait for the time to run out."""
    await conn.execute("DELETE FROM worker WHERE role = %s AND id = %s", (role, worker))
    await conn.execute(
        "UPDATE lease SET expires_at = now() - interval '1 second' WHERE holder = %s AND name LIKE %s",
        (worker, f"{role}/%"),
    )


async def claim(conn: Connection, names: Sequence[str], holder: str, seconds: float) -> set[str]:
    """Take or extend the leases `names` for `seconds`; return those that `holder` now has.

    One statement, so two claimants of an expired lease meet on its row and one of them gets it.
    """
    if not names:
        return set()
    cursor = await conn.execute(
        "INSERT INTO lease (name, holder, expires_at)"
        " SELECT n, %s, now() + %s * interval '1 second' FROM (SELECT unnest(%s::text[]) AS n) AS wanted"
        " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at"
        " WHERE lease.holder = excluded.holder OR lease.expires_at < now() RETURNING name",
        (holder, seconds, sorted(names)),
    )
    return {row[0] for row in await cursor.fetchall()}


async def renew(conn: Connection, name: str, holder: str, seconds: float) -> bool:
    """Extend a lease that nobody else has taken since `holder` did; whether that is so. One that has run out untaken is
    extended too: nobody has worked under it. In a transaction, nobody takes it before that commits."""
    cursor = await conn.execute(
        "UPDATE lease SET expires_at = now() + %s * interval '1 second' WHERE name = %s AND holder = %s RETURNING name",
        (seconds, name, holder),
    )
    return await cursor.fetchone() is not None


async def release(conn: Connection, names: Sequence[str], holder: str) -> None:
    """Give leases back before their time."""
    if names:
        await conn.execute(
            "UPDATE lease SET expires_at = now() - interval '1 second' WHERE holder = %s AND name = ANY(%s)",
            (holder, list(names)),
        )
