"""Real database servers, one of each kind a session: each test gets a database of its own on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import ledger_servers


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[list[str]]:
    """A PostgreSQL: its URL with `{database}` to fill in."""
    with ledger_servers.postgres() as urls:
        yield urls


@pytest.fixture(scope="session")
def cockroach_cluster() -> Iterator[list[str]]:
    """Three CockroachDB nodes: their URLs with `{database}` to fill in."""
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
