"""Reading what the service's processes write for one another: leases, workers, the projection, migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chronicle_ledger.store.audit import pages
from chronicle_ledger.store.guarded import Moment, fetch
from chronicle_ledger.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Until:
    """That a lease or a worker lives until a time. `key` names the row."""

    table: str
    key: str
    expires_at: Moment


@dataclass(frozen=True, slots=True)
class ProjectionRow:
    """How far the projection is."""

    name: str
    stream_sequence: int
    pending: int
    posted_at: Moment | None
    applied: int
    skipped: int
    gaps: int
    dead: int
    updated_at: Moment


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that was applied."""

    version: int
    name: str
    checksum: str
    applied_at: Moment


async def now(conn: Connection) -> Moment:
    """The database's time."""
    found: Moment = (await fetch(conn, b"SELECT now()", ()))[0][0]
    return found


async def lives(conn: Connection) -> AsyncIterator[Until]:
    """All leases, workers, and the lease of the migrations."""
    async for page in pages(conn, "SELECT name, expires_at FROM lease", "name"):
        for name, expires_at in page:
            yield Until("lease", name, expires_at)
    async for page in pages(conn, "SELECT role, id, expires_at FROM worker", "role, id"):
        for role, id_, expires_at in page:
            yield Until("worker", f"{role}/{id_}", expires_at)
    async for page in pages(conn, "SELECT id, until FROM schema_lease", "id"):
        for number, until in page:
            yield Until("schema_lease", str(number), until)


async def projections(conn: Connection) -> AsyncIterator[ProjectionRow]:
    """All rows of the table."""
    columns = "name, stream_sequence, pending, posted_at, applied, skipped, gaps, dead, updated_at"
    async for page in pages(conn, f"SELECT {columns} FROM projection", "name"):  # noqa: S608
        for row in page:
            yield ProjectionRow(*row)


async def migrations(conn: Connection) -> AsyncIterator[Applied]:
    """All rows of the table."""
    async for page in pages(conn, "SELECT version, name, checksum, applied_at FROM schema_migration", "version"):
        for row in page:
            yield Applied(*row)
