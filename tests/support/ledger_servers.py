"""Real database servers, started for as long as a `with` block: PostgreSQL, and three CockroachDB nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
from psycopg.sql import SQL, Identifier

from chronicle_chaos.local.binaries import find_cockroach
from chronicle_chaos.local.orphans import die_with_parent
from chronicle_chaos.local.ports import free_port
from chronicle_chaos.local.postgres import PostgresServer
from support.background import background

__all__ = ["cockroach", "cockroach_binary", "create_database", "empty_database", "free_port", "postgres", "start"]


def start(
    arguments: list[str], log: IO[bytes] | int = subprocess.DEVNULL, **environment: str
) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process, even where that is killed."""
    return subprocess.Popen(
        arguments, stdout=log, stderr=log, env={**os.environ, **environment},
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, which takes no lock
    )  # fmt: skip


@contextlib.contextmanager
def postgres() -> Iterator[list[str]]:
    """A PostgreSQL from the wheel, which ends with this process; its URL with `{database}` to fill in."""
    with tempfile.TemporaryDirectory(prefix="chronicle-pg-") as folder, background() as run:
        Path(folder).chmod(0o755)  # as root, the server runs as another user, who must be able to enter
        server = PostgresServer(Path(folder) / "s")
        try:
            run(server.start())
            yield [server.database_url("{database}")]
        finally:
            run(server.stop())


def cockroach_binary() -> str | None:
    """The binary that `chronicle up` would take: of CHRONICLE_COCKROACH, PATH, or the cache of `chronicle fetch`."""
    found = find_cockroach()
    return str(found) if found else None


@contextlib.contextmanager
def cockroach(binary: str) -> Iterator[list[str]]:
    """Three nodes that keep what they store in memory; their URLs with `{database}` to fill in."""
    folder = Path(tempfile.mkdtemp(prefix="chronicle-crdb-"))
    ports = [free_port() for _ in range(3)]
    join = ",".join(f"127.0.0.1:{port}" for port in ports)
    output = (folder / "output").open("wb")
    nodes = [
        start(
            [
                binary, "start", "--insecure", "--store=type=mem,size=1GiB", f"--log-dir={folder}/{index}",
                f"--listen-addr=127.0.0.1:{port}", f"--http-addr=127.0.0.1:{free_port()}", f"--join={join}",
                "--cache=128MiB", "--max-sql-memory=64MiB",
            ],
            output,
            GOMEMLIMIT="400MiB",
            COCKROACH_SCAN_MAX_IDLE_TIME="100ms",
        )
        for index, port in enumerate(ports)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            if any(node.poll() is not None for node in nodes):
                raise RuntimeError(f"a CockroachDB node ended: {(folder / 'output').read_text()[-500:]}")
            init = subprocess.run(
                [binary, "init", "--insecure", f"--host=127.0.0.1:{ports[0]}"], capture_output=True, check=False
            )
            if init.returncode == 0 or b"already been initialized" in init.stderr:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the CockroachDB nodes in {folder} do not start: {init.stderr.decode()}")
        yield [f"postgresql://root@127.0.0.1:{port}/{{database}}?sslmode=disable" for port in ports]
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait(10)
        output.close()
        shutil.rmtree(folder, ignore_errors=True)


def empty_database(url: str) -> None:
    """Take every row out of a migrated database but those that the migrations put there."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in rows.fetchall():
            if not table.startswith("schema_") and table != "view_current":
                connection.execute(SQL("DELETE FROM {}").format(Identifier(table)))
        connection.execute("UPDATE view_current SET generation = 1")


def create_database(templates: list[str]) -> list[str]:
    """A new, empty database; the URLs by which each node is reached."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    for existing in ("postgres", "defaultdb"):
        with contextlib.suppress(psycopg.OperationalError):
            with psycopg.connect(templates[0].format(database=existing), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return [template.format(database=name) for template in templates]
    raise RuntimeError("neither `postgres` nor `defaultdb` exists to connect to")
