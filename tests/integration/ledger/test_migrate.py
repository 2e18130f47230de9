"""Migrations: once each, whoever starts first."""

from __future__ import annotations

import asyncio
import subprocess

import psycopg
import pytest

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store.migrate import MigrationError, is_current, migrate, migrations
from support.api_process import CHRONICLE, environment


async def test_five_replicas_that_start_together_apply_each_migration_once(urls: list[str]) -> None:
    applied = await asyncio.gather(*[migrate(urls[i % len(urls)]) for i in range(5)])
    expected = [f"{m.version:04}_{m.name}" for m in migrations()]
    assert sorted(name for names in applied for name in names) == expected
    assert await migrate(urls[0]) == []
    async with await psycopg.AsyncConnection.connect(urls[0], autocommit=True) as connection:
        assert await is_current(connection)


async def test_an_empty_database_is_not_current(urls: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(urls[0], autocommit=True) as connection:
        assert not await is_current(connection)


async def test_a_migration_edited_after_it_was_applied_is_refused_with_what_to_do(postgres_url: str) -> None:
    await migrate(postgres_url)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("UPDATE schema_migration SET checksum = 'x' WHERE version = 1")
    with pytest.raises(MigrationError, match="new file"):
        await migrate(postgres_url)
    told = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [CHRONICLE, "migrate"], check=False, env=environment(postgres_url), capture_output=True, text=True
    )
    assert (told.returncode, told.stdout) == (1, "")
    line = told.stderr.splitlines()[-1]
    assert line.startswith("chronicle: Migration 0001_")
    assert line.endswith("next number."), "the database was reached, so its address is in no doubt"


async def test_a_database_that_is_not_there_is_reported_after_the_deadline() -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:9/none", deadline=0.2)
