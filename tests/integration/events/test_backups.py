"""Backups of real ledgers, put back into other databases: the same rows, the same head, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.conninfo import make_conninfo

from chronicle_ledger.backup import BackupError, Manifest, create
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.create import Create
from chronicle_ledger.backup.destination import Destination, open_url
from chronicle_ledger.backup.restore import Restore, Restored
from chronicle_ledger.backup.verify import Verify
from chronicle_ledger.domain.account import AccountStatus
from chronicle_ledger.domain.commands import CaptureHold, PlaceHold, ReleaseHold, Reverse, UpdateAccount
from chronicle_ledger.events.stream import STREAM
from chronicle_ledger.posting.service import Posted
from chronicle_ledger.proof import prove
from chronicle_ledger.seals.sealer import Sealer
from chronicle_ledger.store import migrate as migrations
from chronicle_ledger.store import refill, restoring
from chronicle_ledger.store.migrate import migrate
from chronicle_ledger.store.pool import Database, open_pool
from support import ledger_servers
from support.event_bench import EventBench
from support.ledger_bench import Bench, account_named, command, deposit, transfer

KEY = Ed25519PrivateKey.generate()
SECRET = Cipher(bytes(range(32)))
ONE, OTHER, FROZEN = account_named("account 1"), account_named("account 2"), account_named("account 3")


async def rows(database: Database) -> dict[str, list[Any]]:
    """Every row of the ledger's truth."""
    found = {}
    async with database.connection() as conn:
        for table, key in refill.LEDGER.items():
            if table != "outbox":
                cursor = await conn.execute(f"SELECT * FROM {table} ORDER BY {key}".encode())  # noqa: S608
                found[table] = await cursor.fetchall()
    return found


async def variety(bench: EventBench, number: int) -> None:
    """Postings of every kind."""
    submit = bench.posting.submit
    await bench.post(20)
    await submit(deposit(f"deposit {number}", ONE, 100, metadata={"für": 'ein "Ü"\\', "n": number}))
    for name in ("kept", "captured", "released"):
        hold = command(PlaceHold, f"{name} {number}", account_id=ONE, amount=10, lasts=timedelta(days=9))
        placed = await submit(hold)
        if name == "captured":
            await submit(command(CaptureHold, f"capture {number}", hold_id=hold.id, amount=7, destination_id=OTHER))
        if name == "released":
            await submit(command(ReleaseHold, f"release {number}", hold_id=hold.id))
        assert placed.transaction.hold_id == hold.id
    wrong = await submit(transfer(f"wrong {number}", OTHER, ONE, 1))
    await submit(command(Reverse, f"reverse {number}", transaction_id=wrong.transaction.id))
    status = AccountStatus.FROZEN if number % 2 else AccountStatus.OPEN
    await submit(
        command(UpdateAccount, f"update {number}", account_id=FROZEN, status=status, account_metadata={"n": number})
    )
    if number % 2:
        await submit(command(UpdateAccount, f"thaw {number}", account_id=FROZEN, status=AccountStatus.OPEN))


@contextlib.asynccontextmanager
async def ledger_at(url: str) -> AsyncIterator[Database]:
    database = await open_pool(url, size=3, statement_timeout=10.0)
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def fresh(postgres_server: list[str]) -> AsyncIterator[Database]:
    """A migrated PostgreSQL database without a row."""
    url = ledger_servers.create_database(postgres_server)[0]
    await migrate(url)
    async with ledger_at(url) as database:
        yield database


@contextlib.asynccontextmanager
async def as_role_backup(bench: EventBench) -> AsyncIterator[Database]:
    """The ledger of `bench` as a user sees it who may do what a backup needs, and no more."""
    user = f"backup_{uuid4().hex[:8]}"
    await bench.execute(f"CREATE USER {user}")
    await migrate(bench.url, grants={user: ["backup"]})
    async with ledger_at(make_conninfo(bench.url, user=user)) as database:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.connection() as conn:
                await conn.execute("DELETE FROM entry")
        yield database


def backup(bench: EventBench, destination: Destination, **options: Any) -> Create:
    return Create(bench.database, destination, KEY, **options)


async def posted_up_to(bench: EventBench, moment: datetime) -> int:
    return int((await bench.one("SELECT count(*) FROM txn WHERE posted_at <= %s", moment))[0])


async def test_a_full_backup_and_three_incrementals_put_back_are_the_same_rows_and_the_identical_head(
    any_bench: EventBench, postgres_server: list[str], tmp_path: Path
) -> None:
    destination = open_url(f"file://{tmp_path}/backups", make=True)
    made: list[Manifest] = []
    async with as_role_backup(any_bench) as reading:
        for number in range(4):
            await variety(any_bench, number)
            if number % 2:
                await Sealer(any_bench.database, KEY, lambda: datetime.now(UTC)).into_database()
            made.append(await Create(reading, destination, KEY, cipher=SECRET).run())
    assert [it.kind for it in made] == ["full", "incremental", "incremental", "incremental"]
    assert made[-1].transactions == 30 < made[-1].ledger_transactions
    assert made[-1].seal is not None
    verified = await Verify(destination, cipher=SECRET).run()
    assert verified.transactions == made[-1].ledger_transactions
    before = await prove(any_bench.database, None)
    assert (before.head, before.transactions) == (made[-1].head, made[-1].ledger_transactions)

    async with fresh(postgres_server) as target:
        assert await any_bench.bus.wait_connected(20)
        restored = await Restore(target, destination, bus=any_bench.bus, replicas=3, cipher=SECRET).run()
        assert (restored.proof.head, restored.seals) == (before.head, 2)
        assert await rows(target) == await rows(any_bench.database)
        state = (await any_bench.bus.jetstream().stream_info(STREAM)).state
        assert state.messages == restored.transactions
        async with target.connection() as conn:
            assert await restoring.restoring(conn) is None
        await _goes_on(target)

    # Up to a transaction, without a stream: it, and what was posted before.
    late = await any_bench.one("SELECT id, posted_at FROM txn ORDER BY posted_at OFFSET 60 LIMIT 1")
    for to in (late[1], late[0]):
        async with fresh(postgres_server) as target:
            with pytest.raises(BackupError, match="messages, which may tell of more"):
                await Restore(target, destination, bus=any_bench.bus, cipher=SECRET).run(to=to)
            part = await Restore(target, destination, cipher=SECRET).run(to=to)
            counted = await posted_up_to(any_bench, late[1])
            assert part.transactions == counted if to == late[1] else part.transactions <= counted
            assert part.seals <= 1
            async with target.connection() as conn:
                cursor = await conn.execute("SELECT id FROM txn WHERE id = %s", (late[0],))
                assert await cursor.fetchone() is not None


async def _goes_on(target: Database) -> None:
    """What was posted is replayed, what was held is there to be captured, and what was reversed is so for good."""
    async with Bench([str(target.pool.conninfo)]) as bench:
        service = await bench.service()
        replayed = await service.submit(deposit("deposit 2", ONE, 100, metadata={"für": 'ein "Ü"\\', "n": 2}))
        assert isinstance(replayed, Posted)
        assert replayed.replayed
        hold = command(PlaceHold, "kept 1", account_id=ONE, amount=10)
        await service.submit(command(CaptureHold, "captured afterwards", hold_id=hold.id, destination_id=OTHER))
        wrong = transfer("wrong 3", OTHER, ONE, 1)
        with pytest.raises(Exception, match="reversed"):
            await service.submit(command(Reverse, "again", transaction_id=wrong.id))
    proof = await prove(target, None)
    assert not [check.message for check in proof.checks if not check.ok and check.name != "view"]


async def _under_load(bench: EventBench, destination: Destination, count: int) -> list[Manifest]:
    """So many backups while postings go on, each of which has begun and ended meanwhile."""
    made: list[Manifest] = []
    ended = asyncio.Event()

    async def post() -> int:
        posted = 0
        while not ended.is_set():
            await bench.post(25)
            posted += 25
        return posted

    async with asyncio.TaskGroup() as group:
        posting = group.create_task(post())
        try:
            for _ in range(count):
                made.append(await backup(bench, destination).run())  # noqa: PERF401 - one after the other
        finally:
            ended.set()
    assert posting.result()
    return made


async def test_a_backup_under_load_is_a_consistent_cut(
    any_bench: EventBench, postgres_server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "AT_ONCE", 50)  # many statements, so that postings come between them
    destination = open_url(f"file://{tmp_path}")
    await any_bench.post(200)
    made = await _under_load(any_bench, destination, 2)
    assert made[0].ledger_transactions <= made[1].ledger_transactions
    for it in made:
        await Verify(destination).run(it.id)
    async with fresh(postgres_server) as target:
        restored = await Restore(target, destination).run()
        assert restored.proof.head == made[-1].head


@pytest.mark.cockroach
async def test_a_ledger_moves_from_postgresql_to_cockroachdb(
    bench: EventBench, cockroach_ledger: list[str], tmp_path: Path
) -> None:
    ledger_servers.empty_database(cockroach_ledger[0])
    destination = open_url(f"file://{tmp_path}")
    await variety(bench, 0)
    made = await backup(bench, destination).run()
    async with ledger_at(cockroach_ledger[0]) as target:
        restored = await Restore(target, destination).run()
        assert (restored.proof.head, made.source.database) == (made.head, "postgresql")
        assert await rows(target) == await rows(bench.database)


async def test_keys_stay_shared_for_as_long_as_they_were_in_the_ledger_that_was_backed_up(
    bench: EventBench, postgres_server: list[str], tmp_path: Path
) -> None:
    await bench.execute("UPDATE schema_migration SET applied_at = applied_at - interval '9 days' WHERE version = 1")
    async with bench.database.connection() as conn:
        before = await migrations.keys_shared_until(conn)
    destination = open_url(f"file://{tmp_path}")
    await backup(bench, destination).run()
    async with fresh(postgres_server) as target:
        await Restore(target, destination).run()
        async with target.connection() as conn:
            assert await migrations.keys_shared_until(conn) == before != (True, None)


DAMAGES: Sequence[tuple[str, str]] = (
    ("UPDATE account SET head = '\\x00'::BYTEA WHERE id = '{one}'", "its head is not the hash"),
    ("DELETE FROM entry WHERE account_id = '{one}' AND version = 1", "are missing"),
    ("DELETE FROM txn WHERE id = '{txn}'", "is gone|are missing|not the hash|no longer has"),
    ("DELETE FROM account WHERE id = '{one}'", "entries lead to|is gone"),
    ("UPDATE txn SET metadata = 'x' WHERE id = '{txn}'", "cannot be read"),
)


async def test_no_backup_is_made_of_a_damaged_ledger_nor_of_one_that_does_not_extend_the_last(
    bench: EventBench, tmp_path: Path
) -> None:
    await bench.post(30)
    row = await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 2", ONE)
    for table in ("account", "txn", "entry"):
        await bench.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
    good = open_url(f"file://{tmp_path}/good", make=True)
    first = await backup(bench, good).run()
    for number, (statement, message) in enumerate(DAMAGES):
        await bench.execute(statement.format(one=ONE, txn=row[0]))
        fresh_one = open_url(f"file://{tmp_path}/{number}", make=True)
        with pytest.raises(BackupError, match=message) as refused:
            await backup(bench, fresh_one).run()
        assert refused.value.code == "ledger_damaged"
        for table in ("account", "txn", "entry"):
            await bench.execute(f"DELETE FROM {table}")  # noqa: S608
            await bench.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608
    assert (await backup(bench, good).run()).transactions == 0
    await bench.execute("DELETE FROM txn WHERE id IN (SELECT txn_id FROM entry WHERE account_id = %s)", ONE)
    await bench.execute("DELETE FROM entry WHERE account_id = %s", ONE)
    await bench.execute("DELETE FROM account WHERE id = %s", ONE)
    with pytest.raises(BackupError, match=f"account {ONE}, backed up at version .* is gone"):
        await backup(bench, good).run()
    other = Create(bench.database, good, Ed25519PrivateKey.generate())
    with pytest.raises(BackupError, match="signed by another key"):
        await other.run()
    assert (await Verify(good).run()).transactions == first.ledger_transactions


class Interrupted(Exception):
    """The restore ends here."""


async def test_what_a_restore_left_half_done_stays_marked_until_one_is_proven(
    bench: EventBench, postgres_server: list[str], tmp_path: Path
) -> None:
    destination = open_url(f"file://{tmp_path}")
    await bench.post(30)
    made = await backup(bench, destination).run()

    def interrupt(progress: Any) -> None:
        if progress.transactions:
            raise Interrupted

    async with fresh(postgres_server) as target:
        with pytest.raises(Interrupted):
            await Restore(target, destination, report=interrupt).run()
        async with target.connection() as conn:
            assert await restoring.restoring(conn) == made.id
        with pytest.raises(BackupError) as refused:
            await Restore(target, destination).run()
        assert refused.value.code == "restore_unfinished"
        with pytest.raises(BackupError, match="is being put back"):
            await Create(target, open_url(f"file://{tmp_path}/x", make=True), KEY).run()
        await bench.post(1)
        again: Restored = await Restore(target, destination).run(restart=True)
        assert again.proof.head == made.head
        for restart in (False, True):
            with pytest.raises(BackupError) as refused:
                await Restore(target, destination).run(restart=restart)
            assert refused.value.code == "ledger_not_empty"


async def test_a_restore_that_meets_what_somebody_posted_meanwhile_is_not_proven(
    bench: EventBench, postgres_server: list[str], tmp_path: Path
) -> None:
    destination = open_url(f"file://{tmp_path}")
    await bench.post(10)
    await backup(bench, destination).run()
    async with fresh(postgres_server) as target:
        async with target.connection() as conn:
            await conn.execute(
                "CREATE FUNCTION meddle() RETURNS trigger AS $$ BEGIN NEW.amount := NEW.amount + 1; RETURN NEW; END $$"
                " LANGUAGE plpgsql"
            )
            await conn.execute("CREATE TRIGGER meddle BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION meddle()")
        with pytest.raises(BackupError) as refused:
            await Restore(target, destination).run()
        assert refused.value.code == "not_proven"
        async with target.connection() as conn:
            assert await restoring.restoring(conn) is not None


def test_ids_of_backups_sort_in_their_order_whatever_the_clock_does() -> None:
    at = datetime(2026, 1, 31, 9, tzinfo=UTC)
    first = create._id(at, None)
    before = _Before(first)
    assert create._id(at - timedelta(hours=1), before) > first  # type: ignore[arg-type]
    assert create._id(at, before) > first  # type: ignore[arg-type]


class _Before:
    def __init__(self, id_: str) -> None:
        self.id = id_
