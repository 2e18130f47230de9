"""What the database refuses or leaves open is run again, counted by its SQLSTATE, and posted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from chronicle_ledger import metrics
from chronicle_ledger.domain.commands import CaptureHold, Command, PlaceHold, ReleaseHold, Reverse
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.store import load, reads
from chronicle_ledger.store.pool import open_pool
from chronicle_ledger.store.write import write_and_commit
from support.ledger_bench import Bench, account_named, command, deposit, transfer

A, B = account_named("a"), account_named("b")


def retries(sqlstate: str) -> float:
    """What /metrics would show."""
    return REGISTRY.get_sample_value("chronicle_posting_retries_total", {"sqlstate": sqlstate}) or 0.0


@asynccontextmanager
async def measured(bench: Bench) -> AsyncIterator[PostingService]:
    """A service that reports to Prometheus, as the API's does."""
    database = await open_pool(bench.urls[0], size=2, statement_timeout=3.0)
    service = PostingService(database, metrics=metrics.Posting())
    try:
        yield service
    finally:
        await service.drain(5)
        await database.close()


@pytest.mark.parametrize("sqlstate", ["40001", "40003"])
async def test_what_the_server_says_twice_is_counted_twice_and_posted_once(
    postgres_bench: Bench, sqlstate: str
) -> None:
    await postgres_bench.open(await postgres_bench.service(), "a")
    async with postgres_bench.database.connection() as connection:
        # A sequence keeps its number when a transaction is rolled back, so the third attempt goes through.
        await connection.execute("CREATE SEQUENCE attempts")
        await connection.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('attempts') <= 2 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END IF;"
            " RETURN NULL; END $$".encode()
        )
        await connection.execute("CREATE TRIGGER fail BEFORE INSERT ON txn EXECUTE FUNCTION fail()")
    before = retries(sqlstate)
    async with measured(postgres_bench) as service:
        assert not (await service.submit(deposit("d", A, 5))).replayed
        assert retries(sqlstate) - before == 2
        assert f'chronicle_posting_retries_total{{sqlstate="{sqlstate}"}}' in metrics.exposition().decode()
        assert (await service.submit(deposit("d", A, 5))).replayed
    assert (await reads.get_account(postgres_bench.database, A)).balance == 5
    await postgres_bench.assert_sound()


async def test_a_commit_that_the_server_is_not_sure_of_is_run_again_and_found_posted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.open(await bench.service(), "a")
    commits = []

    async def unsure(*arguments: Any) -> None:
        await write_and_commit(*arguments)
        commits.append(arguments)
        if len(commits) == 1:
            raise psycopg.errors.StatementCompletionUnknown("injected")

    monkeypatch.setattr("chronicle_ledger.posting.batch.write_and_commit", unsure)
    before = retries("40003")
    async with measured(bench) as service:
        posted = await service.submit(deposit("d", A, 5))
        assert retries("40003") - before == 1
    assert len(commits) == 1, "the second attempt met the first one's transaction under its own id"
    assert posted.transaction.id == deposit("d", A, 5).id
    assert (await reads.get_account(bench.database, A)).balance == 5
    await bench.assert_sound()


@pytest.mark.parametrize("kind", ["release", "capture", "reversal"])
async def test_an_attempt_that_is_overtaken_by_a_retry_of_itself_between_two_reads_is_answered_alike(
    postgres_bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """PostgreSQL's READ COMMITTED: each statement of a load sees what was committed before it."""
    first, slow, quick = [await postgres_bench.service() for _ in range(3)]
    await postgres_bench.open(first, "a", "b")
    await first.submit(deposit("d", A, 5))
    ended: Command
    if kind == "reversal":
        ended = command(Reverse, "end", transaction_id=(await first.submit(transfer("t", A, B, 5))).transaction.id)
    else:
        placed = await first.submit(command(PlaceHold, "h", account_id=A, amount=5, destination_id=B))
        ended = command(ReleaseHold if kind == "release" else CaptureHold, "end", hold_id=placed.transaction.id)
    with monkeypatch.context() as patched:
        # The read of transactions takes its snapshot at once, and then sleeps.
        patched.setattr(load, "_TRANSACTIONS", load._TRANSACTIONS + " AND (SELECT pg_sleep(1)) IS NOT NULL")
        overtaken = asyncio.create_task(slow.submit(ended, deadline=20))
        await sleeping(postgres_bench)
    posted = await quick.submit(ended, deadline=20)
    answered = await overtaken
    assert (posted.replayed, answered.replayed) == (False, True)
    assert (answered.transaction.id, answered.transaction.hash) == (posted.transaction.id, posted.transaction.hash)


async def sleeping(bench: Bench) -> None:
    """Wait until a statement sleeps in the database."""
    async with bench.database.connection() as connection:
        for _ in range(500):
            cursor = await connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            if await cursor.fetchone():
                return
            await asyncio.sleep(0.01)
    pytest.fail("no statement sleeps")
