"""The files of migrations: each can be repeated, and runs where it belongs."""

from __future__ import annotations

import re

import pytest

from chronicle_ledger.store.migrate import Migration, migrations

REPEATABLE = ("CREATE TABLE IF NOT EXISTS ", "CREATE INDEX IF NOT EXISTS ", "ALTER TABLE outbox CONFIGURE ZONE ")
COLUMN = re.compile(r"ALTER TABLE \w+ ADD COLUMN IF NOT EXISTS \w+ ")


@pytest.mark.parametrize("migration", migrations(), ids=lambda it: it.name)
def test_every_statement_of_a_migration_can_be_repeated(migration: Migration) -> None:
    statements = migration.statements("cockroachdb")
    assert statements
    for statement in statements:
        inserted = statement.startswith("INSERT INTO ") and statement.endswith("ON CONFLICT (id) DO NOTHING")
        assert statement.startswith(REPEATABLE) or COLUMN.match(statement) or inserted, statement


def test_each_migration_has_a_number_of_its_own() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_file_for_cockroachdb_does_nothing_on_postgresql() -> None:
    zones = {m.name: m.statements("postgresql") for m in migrations() if "CONFIGURE ZONE" in m.sql}
    assert zones == {"outbox_garbage": []}
