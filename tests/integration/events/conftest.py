"""Three real NATS servers a session, and ledgers with relays and projectors around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from nats.aio import client as client_module
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger.events.bus import close_client
from chronicle_ledger.events.stream import DEAD_STREAM, STREAM
from chronicle_ledger.store.migrate import migrate
from support.event_bench import EventBench
from support.event_servers import NatsCluster


@pytest.fixture(scope="session")
def nats_servers() -> Iterator[NatsCluster]:
    """Three NATS servers."""
    cluster = NatsCluster()
    cluster.start()
    try:
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
async def nats(nats_servers: NatsCluster) -> AsyncIterator[NatsCluster]:
    """The NATS servers without any stream."""
    nats_servers.wait_ready()
    client = Client()
    await client.connect(servers=list(nats_servers.urls))
    js = client.jetstream(timeout=10)
    for stream in (STREAM, DEAD_STREAM):
        for _ in range(10):
            try:
                await js.delete_stream(stream)
            except NotFoundError:
                break
            except (TimeoutError, NatsError):
                continue  # a leader is being elected after the test before
            break
    await close_client(client)
    yield nats_servers
    left = [task for task in asyncio.all_tasks() if _of_nats_py(task)]
    assert not left, f"a client of NATS was left open: {left}"


def _of_nats_py(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == client_module.__file__


@pytest.fixture
async def bench(postgres_url: str, nats: NatsCluster) -> AsyncIterator[EventBench]:
    """A migrated PostgreSQL database with accounts, and relays and projectors for the asking."""
    await migrate(postgres_url)
    async with _bench(postgres_url, nats) as made:
        yield made


@pytest.fixture
async def any_bench(ledger_urls: list[str], nats: NatsCluster) -> AsyncIterator[EventBench]:
    """The same on each kind of database in turn."""
    async with _bench(ledger_urls[0], nats) as made:
        yield made


@contextlib.asynccontextmanager
async def _bench(url: str, nats: NatsCluster) -> AsyncIterator[EventBench]:
    async with EventBench(url, nats) as made:
        await made.open_accounts()
        yield made
