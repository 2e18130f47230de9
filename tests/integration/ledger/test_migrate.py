"""Migrations: once each, whoever starts first."""

from __future__ import annotations

import asyncio
import subprocess
import time
import uuid

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from chronicle_contract.database_users import USERS
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store import outbox, server
from chronicle_ledger.store.migrate import MigrationError, is_current, migrate, migrations
from chronicle_ledger.store.roles import rights
from support import ledger_servers
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


async def test_migrations_whose_notes_were_lost_are_applied_again_without_harm(ledger_urls: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(ledger_urls[0], autocommit=True) as connection:
        await connection.execute("UPDATE view_current SET generation = 7 WHERE id = 1")
        await connection.execute("DELETE FROM schema_migration")
        assert await migrate(ledger_urls[0], deadline=20) == [f"{m.version:04}_{m.name}" for m in migrations()]
        generation = await (await connection.execute("SELECT generation FROM view_current")).fetchone()
        assert generation == (7,), "what was there is left as it was"


async def test_a_database_migrated_by_the_files_of_before_is_current(postgres_url: str) -> None:
    await migrate(postgres_url)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("DELETE FROM schema_migration WHERE version > 2")
        for version, checksum in (
            (1, "1c970cb1eb0358b7529e6e433b69f2a463c79a64a436cf2515fad083f84ce7f1"),
            (2, "f3d6eb4fd12863e0ed761ecce61522e2071bc9fa45b0494ac196801f0e0f011e"),
        ):
            await connection.execute(
                "UPDATE schema_migration SET checksum = %s WHERE version = %s", (checksum, version)
            )
        assert "0003_outbox_garbage" in await migrate(postgres_url)
        assert await is_current(connection)


@pytest.mark.cockroach
async def test_the_migration_lets_the_outbox_be_collected_soon(cockroach_ledger: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(cockroach_ledger[0], autocommit=True) as connection:
        cursor = await connection.execute("SHOW ZONE CONFIGURATION FOR TABLE outbox")
        row = await cursor.fetchone()
        assert row is not None
        assert "gc.ttlseconds = 60" in str(row[-1])


async def test_a_backlog_is_counted_up_to_a_bound(ledger_urls: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(ledger_urls[0], autocommit=True) as connection:
        assert await outbox.backlog(connection) == outbox.Backlog(0, 0.0)
        await connection.execute(
            "INSERT INTO outbox (shard, id, payload, created_at)"
            " SELECT n % 16, gen_random_uuid(), 'x', now() - interval '30 seconds' FROM generate_series(1, 20) AS n"
        )
        all_of_them = await outbox.backlog(connection)
        assert (all_of_them.events, all_of_them.more) == (20, False)
        assert 30 <= all_of_them.oldest_seconds < 90
        assert not (await outbox.backlog(connection, 20)).more
        some = await outbox.backlog(connection, 5)
        assert (some.events, some.more) == (5, True)
        assert some.oldest_seconds >= 30


async def test_a_database_that_does_not_exist_ends_the_migration_at_once(postgres_url: str) -> None:
    began = time.monotonic()
    with pytest.raises(MigrationError, match=r"CHRONICLE_DATABASE_URL.*does not exist"):
        await migrate(postgres_url.replace("/t_", "/not_t_"))
    assert time.monotonic() - began < 10


async def test_a_database_that_is_not_there_is_reported_after_the_deadline() -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:9/none", deadline=0.2)


async def test_a_user_of_a_role_may_do_what_it_needs_and_change_nothing_that_was_posted(
    ledger_urls: list[str],
) -> None:
    """As on an upgrade: the user had every right before."""
    url, user = ledger_urls[0], f"role_{uuid.uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        await owner.execute(f"CREATE USER {user}".encode())
        await owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE txn, entry, reversal TO {user}".encode())
        assert await migrate(url, grants={user: ["api"]}) == []
        cursor = await owner.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = %s AND table_schema = 'public'",
            (user,),
        )
        given: dict[str, set[str]] = {}
        for table, right in await cursor.fetchall():
            given.setdefault(table, set()).add(right)
    assert given == rights(["api"])
    async with await psycopg.AsyncConnection.connect(make_conninfo(url, user=user), autocommit=True) as api:
        assert await is_current(api)
        await api.execute("SELECT id FROM account FOR UPDATE")
        for statement in (
            "UPDATE txn SET kind = 'x'",
            "DELETE FROM entry",
            "DELETE FROM reversal",
            "DELETE FROM account",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await api.execute(statement.encode())


async def test_the_users_of_the_processes_are_made_and_each_may_do_its_own_work_alone(ledger_urls: list[str]) -> None:
    url, secret = ledger_urls[0], uuid.uuid4().hex
    assert await migrate(url, passwords={"chronicle_relay": secret}) == []
    assert await migrate(url, passwords={"chronicle_relay": secret}) == [], "once more without harm"

    async def refuses(user: str, *statements: str) -> None:
        async with await psycopg.AsyncConnection.connect(make_conninfo(url, user=user), autocommit=True) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(statement.encode())

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        cockroach = server.kind(owner) == "cockroachdb"
        for user, granted in USERS.items():
            cursor = await owner.execute(
                "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
                " WHERE grantee = %s AND table_schema = 'public' AND table_catalog = current_database()",
                (user,),
            )
            given: dict[str, set[str]] = {}
            for table, right in await cursor.fetchall():
                given.setdefault(table, set()).add(right)
            assert given == rights(granted), user
        if not cockroach:  # which takes no passwords without certificates
            cursor = await owner.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'chronicle_relay'")
            row = await cursor.fetchone()
            assert row is not None
            assert row[0].startswith("SCRAM-SHA-256$")
    changes = ["UPDATE txn SET kind = 'x'", "UPDATE entry SET amount = 1"]
    changes += ["DELETE FROM txn", "DELETE FROM entry", "DELETE FROM reversal"]
    for user in ("chronicle_api", "chronicle_relay", "chronicle_projector", "chronicle_proof", "chronicle_seal"):
        await refuses(user, *changes)
    await refuses("chronicle_relay", "SELECT id FROM account", "SELECT id FROM txn", "SELECT * FROM statement_view")
    await refuses("chronicle_projector", "SELECT id FROM outbox", "UPDATE account SET balance = 1", "DELETE FROM seal")
    await refuses("chronicle_proof", "DELETE FROM outbox", "UPDATE account SET balance = 1", "DELETE FROM account_view")
    await refuses("chronicle_seal", "SELECT id FROM outbox", "DELETE FROM seal", "UPDATE account SET balance = 1")
    if not cockroach:  # before 23.2, where the state of the nodes needs it, a member of admin
        await refuses("chronicle_status", "SELECT id FROM account")


@pytest.mark.cockroach
async def test_the_owner_of_the_schema_grants_roles_and_is_no_administrator(
    cockroach_cluster: list[str],
) -> None:
    """As the operator's Job does it: all rights on the database, from before there was a table."""
    url = ledger_servers.create_database(cockroach_cluster)[0]
    owner, user = f"owner_{uuid.uuid4().hex[:8]}", f"api_{uuid.uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as root:
        name = root.info.dbname
        await root.execute(f"CREATE USER {owner}; CREATE USER {user}; GRANT ALL ON DATABASE {name} TO {owner}".encode())
    as_owner = url.replace("root@", f"{owner}@")
    assert await migrate(as_owner, grants={user: ["api", "relay"]})
    assert await migrate(as_owner, grants={user: ["api", "relay"]}) == [], "once more without harm"
    async with await psycopg.AsyncConnection.connect(url.replace("root@", f"{user}@"), autocommit=True) as service:
        await service.execute("DELETE FROM outbox")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await service.execute("DELETE FROM txn")
