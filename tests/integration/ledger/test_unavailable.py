"""What the engine does when the database is away, slow, or short of a node: a clear answer inside the deadline."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import psycopg
import pytest

from chronicle_ledger.api.pools import open_pools
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.posting.service import PostingLimits
from chronicle_ledger.settings import Settings
from chronicle_ledger.store import reads
from chronicle_ledger.store.cluster import cluster_state
from chronicle_ledger.store.migrate import migrate
from support.ledger_bench import Bench, account_named, codes, deposit

A = account_named("a")


async def test_a_database_that_is_away_is_said_to_be_inside_the_deadline(postgres_bench: Bench) -> None:
    service = await postgres_bench.service("postgresql://nobody@127.0.0.1:9/none")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await service.submit(deposit("d", A, 1), deadline=1.0)
    assert time.monotonic() - began < 2.0
    with pytest.raises(DatabaseUnavailable):
        await reads.get_account(postgres_bench.database, A)


async def test_more_requests_than_the_queue_holds_are_turned_away_at_once(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(limits=PostingLimits(max_queue=10, max_batch=5))
    await postgres_bench.open(service, "a")
    results = await service.submit_many([deposit(f"d{i}", A, 1) for i in range(50)], atomic=False)
    assert codes(results) == {"posted": 10, "overloaded": 40}
    again = await service.submit_many([deposit(f"d{i}", A, 1) for i in range(10)], atomic=False)
    assert codes(again) == {"replayed": 10}


async def test_a_statement_that_waits_too_long_ends_and_its_retry_posts_once(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(statement_timeout=0.3)
    await postgres_bench.open(service, "a")
    async with postgres_bench.database.connection() as blocker, blocker.transaction():
        await blocker.execute("SELECT id FROM account FOR UPDATE")
        with pytest.raises(DatabaseUnavailable):
            await service.submit(deposit("d", A, 1), deadline=0.5)
    await service.submit(deposit("d", A, 1))
    assert (await reads.get_account(postgres_bench.database, A)).balance == 1
    await postgres_bench.assert_sound()


async def test_a_batch_that_takes_too_long_as_a_whole_is_posted_in_parts(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(statement_timeout=0.4, limits=PostingLimits(max_batch=64, deadline=30))
    await postgres_bench.open(service, "a")
    async with postgres_bench.database.connection() as connection:
        # Each entry takes 20 ms: a batch of 64 has 128 of them and cannot end in time, one of eight can.
        await connection.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$"
        )
        await connection.execute("CREATE TRIGGER slow BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION slow()")
    results = await service.submit_many([deposit(f"d{i}", A, 1) for i in range(64)], atomic=False)
    assert codes(results) == {"posted": 64}
    assert (await reads.get_account(postgres_bench.database, A)).balance == 64
    await postgres_bench.assert_sound()


async def test_many_more_requests_than_connections_all_end(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(size=1)
    await postgres_bench.open(service, "a")
    results = await asyncio.wait_for(
        service.submit_many([deposit(f"d{i}", A, 1) for i in range(1000)], atomic=False), timeout=30
    )
    assert codes(results) == {"posted": 1000}
    await postgres_bench.assert_sound()


async def test_draining_finishes_what_is_in_flight_and_takes_nothing_new(postgres_bench: Bench) -> None:
    service = await postgres_bench.service()
    await postgres_bench.open(service, "a")
    running = [asyncio.create_task(service.submit(deposit(f"d{i}", A, 1))) for i in range(50)]
    await asyncio.sleep(0)
    assert await service.drain(5)
    assert codes([await task for task in running]) == {"posted": 50}
    with pytest.raises(DatabaseUnavailable):
        await service.submit(deposit("late", A, 1))


async def test_the_database_says_how_it_is(bench: Bench) -> None:
    await bench.service()
    state = await cluster_state(bench.database)
    async with asyncio.timeout(60):  # a node that has just started hears of the others by gossip
        while state.nodes_live != len(bench.urls):
            await asyncio.sleep(0.2)
            state = await cluster_state(bench.database)
    assert state.nodes_live == state.nodes_total == len(bench.urls)
    assert state.quorum
    if state.kind == "cockroachdb":
        assert state.ranges_unavailable == 0


@pytest.mark.cockroach
async def test_the_state_of_the_nodes_is_read_as_a_user_of_its_own(cockroach_ledger: list[str]) -> None:
    """Postings need no right to see the cluster, which CockroachDB before 23.1.12 gives to admins alone."""
    url, user = cockroach_ledger[0], f"api_{uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        await owner.execute(f"CREATE USER {user}".encode())
    assert await migrate(url, grants={user: ["api"]}) == []
    settings = Settings(database_url=url.replace("root@", f"{user}@"), status_database_url=url)
    pools = await open_pools(settings)
    try:
        unseen = await cluster_state(pools.own)
        assert (unseen.serving, unseen.nodes_total) == (True, None)
        async with asyncio.timeout(60):
            while (seen := await cluster_state(pools.own, status=pools.status)).ranges_unavailable is None:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert seen.nodes_total == len(cockroach_ledger)
    finally:
        await pools.close()
