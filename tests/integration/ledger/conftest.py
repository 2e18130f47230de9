"""Real databases for the ledger's tests: one PostgreSQL and three CockroachDB nodes a session, a database a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.ledger_bench import Bench


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


@pytest.fixture
def postgres_url(postgres_server: list[str]) -> str:
    """An empty database on PostgreSQL."""
    return ledger_servers.create_database(postgres_server)[0]


@pytest.fixture(params=["postgresql", pytest.param("cockroachdb", marks=pytest.mark.cockroach)])
def urls(request: pytest.FixtureRequest) -> list[str]:
    """An empty database, on each kind of server in turn: the URLs by which replicas reach it."""
    name = "postgres_server" if request.param == "postgresql" else "cockroach_cluster"
    return ledger_servers.create_database(request.getfixturevalue(name))


@pytest.fixture
async def bench(urls: list[str]) -> AsyncIterator[Bench]:
    """A migrated database, and as many posting services on it as a test asks for."""
    await migrate(urls[0])
    async with Bench(urls) as made:
        yield made


@pytest.fixture
async def postgres_bench(postgres_url: str) -> AsyncIterator[Bench]:
    """The same on PostgreSQL alone, for what does not depend on the database."""
    await migrate(postgres_url)
    async with Bench([postgres_url]) as made:
        yield made
