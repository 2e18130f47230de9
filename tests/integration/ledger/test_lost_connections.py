"""Postings whose connection dies at every boundary between two messages: never twice, never lost."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.posting.service import PostingLimits
from chronicle_ledger.store import reads
from support.cutting_proxy import CuttingProxy
from support.ledger_bench import Bench, account_named, deposit

A = account_named("a")


def _proxy(url: str) -> CuttingProxy:
    parts = urlsplit(url)
    socket_folder = parse_qs(parts.query).get("host")
    if socket_folder:
        return CuttingProxy(unix_path=f"{socket_folder[0]}/.s.PGSQL.5432")
    return CuttingProxy(host=parts.hostname, port=parts.port or 5432)


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"


async def test_connections_closed_while_idle_neither_fail_nor_delay_a_read(postgres_bench: Bench) -> None:
    service = await postgres_bench.service()
    await postgres_bench.open(service, "a")
    database = postgres_bench.database
    await database.pool.wait(10)
    async with await psycopg.AsyncConnection.connect(postgres_bench.urls[0], autocommit=True) as other:
        ended = await other.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert (await ended.fetchone() or (0,))[0] >= database.pool.min_size
        left = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        async with asyncio.timeout(10):
            while await (await other.execute(left)).fetchall():  # noqa: ASYNC110 - sessions end in their own time
                await asyncio.sleep(0.01)
    began = time.monotonic()
    assert (await reads.get_account(database, A)).id == A  # one reader meets all that are closed
    assert time.monotonic() - began < 1.0
    reading = [reads.get_account(database, A) for _ in range(2 * database.pool.min_size)]
    assert {account.id for account in await asyncio.gather(*reading)} == {A}


async def test_a_silent_database_is_unavailable_in_time_and_used_again_at_once_when_it_is_back(bench: Bench) -> None:
    direct = await bench.service()
    await bench.open(direct, "a")
    async with _proxy(bench.urls[0]) as proxy:
        service = await bench.service(_through(bench.urls[0], proxy.port), size=4, statement_timeout=0.5)
        await service.submit(deposit("before", A, 1), deadline=10)
        proxy.freeze()
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await service.submit(deposit("during", A, 1), deadline=2.5)
        assert time.monotonic() - began < 4
        proxy.thaw()
        began = time.monotonic()
        posted = await service.submit(deposit("during", A, 1), deadline=20)
        assert time.monotonic() - began < 8
        assert posted.transaction.id == deposit("during", A, 1).id
        assert (await reads.get_account(bench.database, A)).balance == 2
        await bench.assert_sound()


@pytest.mark.parametrize("to_server", [True, False], ids=["request_lost", "answer_lost"])
async def test_a_posting_survives_a_cut_at_every_message(bench: Bench, to_server: bool) -> None:
    direct = await bench.service()
    await bench.open(direct, "a")
    async with _proxy(bench.urls[0]) as proxy:
        service = await bench.service(
            _through(bench.urls[0], proxy.port), size=1, limits=PostingLimits(deadline=30), statement_timeout=10
        )
        for warm in range(4):  # the driver prepares statements on their third use, which changes the messages
            await service.submit(deposit(f"warm {warm}", A, 1))
        cuts = 0
        for boundary in range(1, 200):
            proxy.arm(boundary, to_server=to_server)
            posted = await service.submit(deposit(f"d{boundary}", A, 1))
            assert posted.transaction.id == deposit(f"d{boundary}", A, 1).id
            if not proxy.disarm():
                break
            cuts += 1
        else:
            pytest.fail("a posting of 200 messages? the proxy does not see the end of one")
        assert cuts > 10, "the proxy did not see the messages of a posting"
        balance = (await reads.get_account(bench.database, A)).balance
        assert balance == 4 + boundary
        await bench.assert_sound()
