"""Real database servers, one of each kind a session: each test gets a database of its own on them, or one
that was emptied."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from chronicle_ledger.store.migrate import migrate
from support import ledger_servers

KINDS = ["postgresql", pytest.param("cockroachdb", marks=pytest.mark.cockroach)]

STANDALONE = frozenset({"chaos", "chaos_sabotage", "local"})
"""Folders whose tests start servers of their own: each test may run on any worker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share the servers of a session on one worker of `--dist loadgroup`: a file each, and all of
    CockroachDB, whose three nodes cost a good part of a core even while nobody asks them anything."""
    for item in items:
        if item.path.parent.name in STANDALONE:
            continue
        if item.get_closest_marker("cockroach"):
            item.add_marker(pytest.mark.xdist_group("cockroach"))
        else:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail where tests are distributed by group and the groups went unseen: pytest 9.2 no longer reads the names that
    pytest-xdist 3.8 gives them, and each worker then starts every server, without a word."""
    if session.config.getoption("loadgroup", default=False):
        unseen = [it for it in session.items if it.get_closest_marker("xdist_group") and "@" not in it.nodeid]
        if unseen:
            raise pytest.UsageError(f"pytest-xdist did not group {unseen[0].nodeid}: see the pins in pyproject.toml")


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


@pytest.fixture(scope="session")
def cockroach_ledger(cockroach_cluster: list[str]) -> list[str]:
    """One migrated database on CockroachDB, where each CREATE TABLE takes a good part of a second."""
    urls = ledger_servers.create_database(cockroach_cluster)
    asyncio.run(migrate(urls[0]))
    return urls


@pytest.fixture(params=KINDS)
def ledger_urls(request: pytest.FixtureRequest) -> list[str]:
    """A migrated database without accounts, on each kind of server in turn: the URLs by which replicas reach it."""
    if request.param == "postgresql":
        urls = ledger_servers.create_database(request.getfixturevalue("postgres_server"))
        asyncio.run(migrate(urls[0]))
    else:
        urls = request.getfixturevalue("cockroach_ledger")
        ledger_servers.empty_database(urls[0])
    return urls


@pytest.fixture(params=KINDS)
def urls(request: pytest.FixtureRequest) -> list[str]:
    """An empty database, on each kind of server in turn: the URLs by which replicas reach it."""
    name = "postgres_server" if request.param == "postgresql" else "cockroach_cluster"
    return ledger_servers.create_database(request.getfixturevalue(name))
