"""Migrations: the numbered SQL files of `migrations/`, each applied once, whoever starts first.

Several replicas may start together on an empty database. A lease in a row of its own lets one of them work while the
others wait (CockroachDB's advisory locks lock nothing); the primary key of `schema_migration`, written in the same
database transaction as the file's statements, makes a second application impossible even if a lease is overrun.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store.failures import Failure, classify, sqlstate

_log = structlog.get_logger(__name__)

LEASE = 15.0
"""Seconds after which another replica takes over from one that died while migrating."""

_SETUP = (
    """CREATE TABLE IF NOT EXISTS schema_migration (
        version INT8 PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS schema_lease (
        id INT8 PRIMARY KEY, holder UUID NOT NULL, until TIMESTAMPTZ NOT NULL)""",
)
_TAKE = """
INSERT INTO schema_lease (id, holder, until) VALUES (1, %(holder)s, now() + %(lease)s * INTERVAL '1 second')
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE schema_lease.until < now() OR schema_lease.holder = excluded.holder
RETURNING holder
"""
_GIVE_BACK = "DELETE FROM schema_lease WHERE id = 1 AND holder = %s"
_ALREADY_THERE = frozenset({"42P07", "42710", "23505"})
"""Two replicas created the same table in the same instant; IF NOT EXISTS does not cover that on PostgreSQL."""


class MigrationError(Exception):
    """The database and this version's migrations do not fit together; the message says how."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: `0001_ledger.sql` is version 1, named `ledger`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, so that a file edited after it was applied is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The file's statements. Comments are lines of their own, and `;` ends a statement at the end of a line."""
        code = "\n".join(line for line in self.sql.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in code.split(";\n") if statement.strip(" \n;")]


def migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = resources.files("chronicle_ledger.store") / "migrations"
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text()))
    return sorted(found, key=lambda migration: migration.version)


async def migrate(url: str, *, deadline: float = 60.0) -> list[str]:
    """Bring the database at `url` (libpq) up to date; the names of the migrations applied by this call.

    Waits up to `deadline` seconds for the database and for other replicas that migrate at the same time. Raises
    DatabaseUnavailable after that, and MigrationError when an applied file has changed since.
    """
    holder = uuid.uuid4()
    ends = time.monotonic() + deadline
    applied: list[str] = []
    told = ""
    while True:
        try:
            async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
                await connection.execute("SET statement_timeout = 30000")
                if await _attempt(connection, holder, applied):
                    return applied
        except (psycopg.Error, OSError) as error:
            refused = classify(error) is Failure.REFUSED and sqlstate(error) not in _ALREADY_THERE
            if refused or sqlstate(error).startswith(("28", "3D")):
                raise MigrationError(
                    f"The database refuses a migration: {error}. Check the URL, the database's name and its rights."
                ) from error
            if str(error) != told:  # once for as long as it stays the same: a database may take a minute to come up
                told = str(error)
                _log.info("migration.retry", error=told.strip())
            if time.monotonic() > ends:
                raise DatabaseUnavailable(f"The database cannot be migrated yet: {str(error).strip()}") from error
        if time.monotonic() > ends:
            raise DatabaseUnavailable("Another replica has been migrating the database for too long; try again.")
        await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - a pause, not a secret


async def _applied(connection: AsyncConnection[Any]) -> dict[int, str]:
    cursor = await connection.execute("SELECT version, checksum FROM schema_migration")
    return {row[0]: row[1] for row in await cursor.fetchall()}


def _pending(known: dict[int, str]) -> list[Migration]:
    pending = []
    for migration in migrations():
        checksum = known.get(migration.version)
        if checksum is None:
            pending.append(migration)
        elif checksum != migration.checksum:
            raise MigrationError(
                f"Migration {migration.version:04}_{migration.name}.sql was changed after it was applied to this "
                "database. Put the change into a new file with the next number."
            )
    return pending


async def _attempt(connection: AsyncConnection[Any], holder: uuid.UUID, applied: list[str]) -> bool:
    """One go; whether the database is up to date."""
    for statement in _SETUP:
        await connection.execute(statement)
    if not _pending(await _applied(connection)):
        return True
    lease = await connection.execute(_TAKE, {"holder": holder, "lease": LEASE})
    if await lease.fetchone() is None:
        return False
    try:
        for migration in _pending(await _applied(connection)):
            async with connection.transaction():
                # Statements first: CockroachDB refuses the first change of the schema after a write in the same
                # transaction. After one that came before the write, others may follow it.
                for statement in migration.statements:
                    await connection.execute(statement.encode())
                await connection.execute(
                    "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (%s, %s, %s, now())",
                    (migration.version, migration.name, migration.checksum),
                )
            applied.append(f"{migration.version:04}_{migration.name}")
            _log.info("migration.applied", version=migration.version, name=migration.name)
    finally:
        if not connection.closed and not connection.broken:
            await connection.execute(_GIVE_BACK, (holder,))
    return True


async def is_current(connection: AsyncConnection[Any]) -> bool:
    """Whether every migration of this version has been applied; False on an empty database."""
    try:
        return not _pending(await _applied(connection))
    except psycopg.errors.UndefinedTable:
        return False
