"""Real servers for the tests of events: one PostgreSQL, three CockroachDB nodes and three NATS servers a session."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger.events.stream import DEAD_STREAM, STREAM
from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.event_bench import EventBench
from support.event_servers import NatsCluster


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[list[str]]:
    """A PostgreSQL."""
    with ledger_servers.postgres() as urls:
        yield urls


@pytest.fixture(scope="session")
def cockroach_cluster() -> Iterator[list[str]]:
    """Three CockroachDB nodes."""
    binary = ledger_servers.cockroach_binary()
    if not binary:
        pytest.skip("no cockroach binary; set CHRONICLE_COCKROACH to one to run this on three real nodes")
    with ledger_servers.cockroach(binary) as urls:
        yield urls


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
async def nats(nats_servers: NatsCluster) -> NatsCluster:
    """The NATS servers without any stream."""
    nats_servers.wait_ready()
    from nats.aio.client import Client

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
    with contextlib.suppress(NatsError):
        await client.close()
    return nats_servers


@pytest.fixture
async def bench(postgres_server: list[str], nats: NatsCluster) -> AsyncIterator[EventBench]:
    """A migrated PostgreSQL database with accounts, and relays and projectors for the asking."""
    url = ledger_servers.create_database(postgres_server)[0]
    await migrate(url)
    async with EventBench(url, nats) as made:
        await made.open_accounts()
        yield made


@pytest.fixture(params=["postgresql", pytest.param("cockroachdb", marks=pytest.mark.cockroach)])
async def any_bench(request: pytest.FixtureRequest, nats: NatsCluster) -> AsyncIterator[EventBench]:
    """The same on each kind of database in turn."""
    name = "postgres_server" if request.param == "postgresql" else "cockroach_cluster"
    url = ledger_servers.create_database(request.getfixturevalue(name))[0]
    await migrate(url)
    async with EventBench(url, nats) as made:
        await made.open_accounts()
        yield made
