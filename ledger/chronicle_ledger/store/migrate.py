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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from chronicle_contract.database_users import USERS
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store import roles, server, urls, users
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

STATEMENT_SECONDS = 600
"""What one statement may take: an index over many million accounts takes minutes."""

_FORMER = {
    1: "1c970cb1eb0358b7529e6e433b69f2a463c79a64a436cf2515fad083f84ce7f1",
    2: "f3d6eb4fd12863e0ed761ecce61522e2071bc9fa45b0494ac196801f0e0f011e",
}
"""Checksums of files as they were applied before each could be repeated. The schema they made is the same."""


class MigrationError(Exception):
    """The database and this version's migrations do not fit together; the message says how."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: `0001_ledger.sql` is version 1, named `ledger`. `0003_outbox_garbage.cockroachdb.sql` is for
    CockroachDB alone; on PostgreSQL it is noted as applied and does nothing."""

    version: int
    name: str
    sql: str
    only: str = ""

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, so that a file edited after it was applied is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def was_applied_as(self, checksum: str) -> bool:
        """Whether `checksum` is this file's, or what this file had before it could be repeated."""
        return checksum in (self.checksum, _FORMER.get(self.version))

    def statements(self, database: str) -> list[str]:
        """The file's statements for `database`, cockroachdb or postgresql. Comments are lines of their own, and `;`
        ends a statement at the end of a line."""
        if self.only not in ("", database):
            return []
        code = "\n".join(line for line in self.sql.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in code.split(";\n") if statement.strip(" \n;")]


def migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = resources.files("chronicle_ledger.store") / "migrations"
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, rest = file.name.removesuffix(".sql").partition("_")
            name, _, only = rest.partition(".")
            found.append(Migration(int(number), name, file.read_text(), only))
    return sorted(found, key=lambda migration: migration.version)


async def migrate(
    url: str,
    *,
    deadline: float = 60.0,
    grants: Mapping[str, Iterable[str]] | None = None,
    passwords: Mapping[str, str] | None = None,
) -> list[str]:
    """Bring the database at `url` (libpq) up to date; the names of the migrations applied by this call. `grants` are
    users with their roles (`roles.py`), who then have those roles' rights and no other. With `passwords` (of as many
    users as need one) the processes' own users (`chronicle_contract.database_users`) are made and granted besides.

    Waits up to `deadline` seconds for the database and for other replicas that migrate at the same time. Raises
    DatabaseUnavailable after that, and MigrationError when an applied file has changed since.
    """
    try:
        urls.check(url)
    except ValueError as error:
        raise MigrationError(f"CHRONICLE_DATABASE_URL {error}.") from None
    holder = uuid.uuid4()
    ends = time.monotonic() + deadline
    applied: list[str] = []
    told = ""
    while True:
        try:
            async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
                await _prepare(connection)
                if await _attempt(connection, holder, applied):
                    if passwords is not None:
                        await users.make(connection, passwords)
                        grants = {**USERS, **(grants or {})}
                    if grants:
                        await roles.grant(connection, grants)
                    return applied
        except (psycopg.Error, OSError) as error:
            refused = classify(error) in (Failure.REFUSED, Failure.NO_SCHEMA) and sqlstate(error) not in _ALREADY_THERE
            if refused or sqlstate(error).startswith(("28", "3D")):
                raise MigrationError(
                    f"The database refuses a migration: {error}. Check the URL, the database's name and its rights."
                ) from error
            if urls.refused_for_good(error):
                raise MigrationError(
                    f"The server of CHRONICLE_DATABASE_URL refuses the connection: {str(error).strip()}. Correct the"
                    " user, the password or the database's name there, or make them on the server."
                ) from error
            if str(error) != told:  # once for as long as it stays the same: a database may take a minute to come up
                told = str(error)
                _log.info("migration.retry", error=told.strip())
            if time.monotonic() > ends:
                raise DatabaseUnavailable(f"The database cannot be migrated yet: {str(error).strip()}") from error
        if time.monotonic() > ends:
            raise DatabaseUnavailable("Another replica has been migrating the database for too long; try again.")
        await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - a pause, not a secret


async def _prepare(connection: AsyncConnection[Any]) -> None:
    await connection.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000}".encode())
    # From CockroachDB 25.1 on, a change of the schema commits whatever came before it: a file would no longer be one
    # transaction with its row in `schema_migration`.
    await server.set_where_known(connection, "autocommit_before_ddl", "off")


async def _applied(connection: AsyncConnection[Any]) -> dict[int, str]:
    cursor = await connection.execute("SELECT version, checksum FROM schema_migration")
    return {row[0]: row[1] for row in await cursor.fetchall()}


def _pending(known: dict[int, str]) -> list[Migration]:
    pending = []
    for migration in migrations():
        checksum = known.get(migration.version)
        if checksum is None:
            pending.append(migration)
        elif not migration.was_applied_as(checksum):
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
                for statement in migration.statements(server.kind(connection)):
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


_SUBJECTS = "subjects"
"""The migration with which keys began to belong to callers."""

SHARED_FOR = timedelta(hours=1)
"""How long after that migration a ledger that is older goes on with shared keys: until no replica of a version that
knows nothing else is left."""

_AT_ONCE = timedelta(minutes=1)


async def keys_shared_until(connection: AsyncConnection[Any]) -> tuple[bool, datetime | None]:
    """Whether it is known, and when idempotency keys cease to be common to all callers; None where they never were.

    They never were where the first migration and that of the subjects were applied together. Not known before the
    latter was applied.
    """
    cursor = await connection.execute(
        "SELECT name, applied_at FROM schema_migration WHERE version = 1 OR name = %s", (_SUBJECTS,)
    )
    applied: dict[str, datetime] = {row[0]: row[1] for row in await cursor.fetchall()}
    since = applied.pop(_SUBJECTS, None)
    if since is None:
        return False, None
    first = min(applied.values(), default=since)
    return True, None if since - first < _AT_ONCE else since.astimezone(UTC) + SHARED_FOR


async def is_current(connection: AsyncConnection[Any]) -> bool:
    """Whether every migration of this version has been applied; False on an empty database."""
    try:
        return not _pending(await _applied(connection))
    except psycopg.errors.UndefinedTable:
        return False
