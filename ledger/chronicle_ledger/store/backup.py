"""What a backup reads of the ledger, on a connection that sees one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.store import load, rows
from chronicle_ledger.store.arrays import plain
from chronicle_ledger.store.guarded import Unfit, fetch
from chronicle_ledger.store.pool import Connection

TIMED = (1, "subjects")
"""The migrations whose times of application a ledger's behaviour depends on (`migrate.keys_shared_until`)."""

# Both columns by equality: CockroachDB before 21.2 looks up no ranges in a join, and would read an account's entries
# from the first one on for each page.
_WRITERS = (
    "SELECT e.txn_id FROM unnest(%s::uuid[], %s::int8[]) AS w(account_id, version)"
    " JOIN entry e ON e.account_id = w.account_id AND e.version = w.version"
)
_TRANSACTIONS = f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id = ANY(%s::uuid[])"  # noqa: S608


class Unreadable(ValueError):
    """A row is none that a ledger writes; the text names it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The moment that the connection sees, and what the schema is at it. `applied` are the times of TIMED."""

    at: datetime
    schema_version: int
    applied: dict[str, datetime]


async def origin(conn: Connection) -> Origin:
    """Return the moment and the schema."""
    cursor = await conn.execute("SELECT now()", binary=True)
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a query without a table has one row")
    moment = row[0]
    cursor = await conn.execute("SELECT version, name, applied_at FROM schema_migration", binary=True)
    found = await cursor.fetchall()
    applied = {it[1]: it[2].astimezone(UTC) for it in found if it[0] == TIMED[0] or it[1] == TIMED[1]}
    return Origin(moment.astimezone(UTC), max((it[0] for it in found), default=0), applied)


async def writers(conn: Connection, versions: Sequence[tuple[UUID, int]]) -> list[UUID]:
    """Return the transactions that wrote these (account, version); none for a version that does not exist."""
    cursor = await conn.execute(
        _WRITERS.encode(),
        (plain(account for account, _ in versions), plain(version for _, version in versions)),
        binary=True,
    )
    return [row[0] for row in await cursor.fetchall()]


async def transactions(conn: Connection, ids: Sequence[UUID]) -> list[Transaction]:
    """Return transactions with their entries, in the order of `ids`; those that do not exist are left out. Raises
    Unreadable."""
    found = await fetch(conn, _TRANSACTIONS.encode(), (plain(ids),))
    for row in found:
        if isinstance(row[3], Unfit) or isinstance(row[4], Unfit):
            raise Unreadable(f"transaction {row[0]} has a time that no ledger writes")
    try:
        by_id = await load.with_entries(conn, found)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"a transaction cannot be read ({str(error)[:100]})") from None
    return [by_id[id_] for id_ in ids if id_ in by_id]
