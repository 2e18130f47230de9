"""CockroachDB nodes as processes: two in region-a, one in region-b, which meet through proxies only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.process import Command, ProcessDied, SupervisedProcess

DATABASE = "chronicle"

CACHE = "256MiB"
"""Block cache of a node. Its memtable (64 MiB once it has grown) is taken out of it (docs/memory.md of
github.com/cockroachdb/pebble): with 64 MiB nothing is left, and each read of a block decompresses it again. Seen on
20.1.17 after some minutes of load: `rocksdb_block_cache_usage` 0, 426,024 misses beside 3,038 hits."""


@dataclass(frozen=True, slots=True)
class CockroachNode:
    """One node. `port` is where it listens; `advertised` the port that nodes of other regions use for it (a proxy);
    `join` the ports by which it first finds the others."""

    name: str
    region: str
    port: int
    http: int
    advertised: int
    join: Sequence[int]

    @property
    def url(self) -> str:
        """The libpq URL of the ledger's database through this node."""
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        """The libpq URL of another database through this node."""
        return f"postgresql://root@{LOOPBACK}:{self.port}/{database}?sslmode=disable"

    def process(self, binary: Path, folder: Path) -> SupervisedProcess:
        """Make its process (not started), with its data below `folder`."""
        home = folder / self.name
        home.mkdir(parents=True, exist_ok=True)
        arguments = [
            str(binary), "start", "--insecure", f"--store={home / 'data'}",
            f"--listen-addr={LOOPBACK}:{self.port}", f"--http-addr={LOOPBACK}:{self.http}",
            f"--advertise-addr={LOOPBACK}:{self.advertised}",
            f"--locality=region={self.region}",
            f"--locality-advertise-addr=region={self.region}@{LOOPBACK}:{self.port}",
            f"--join={','.join(f'{LOOPBACK}:{port}' for port in self.join)}",
            f"--cache={CACHE}", "--max-sql-memory=64MiB", f"--log-dir={home / 'logs'}", "--logtostderr=WARNING",
        ]  # fmt: skip
        # The Go runtime's own limit keeps three nodes within what a small machine has.
        # A store looks at its ranges one after the other, at most a second apart: with the fifty of a new cluster, most
        # of a minute until each has its third replica. Shorter pauses cost nothing at this size.
        environment = {
            "GOMEMLIMIT": "400MiB",
            "COCKROACH_SCAN_MAX_IDLE_TIME": "100ms",
            "COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING": "true",
        }
        return SupervisedProcess(self.name, Command(arguments, environment), home / "cockroach.log", grace=8.0)


async def initialise(binary: Path, nodes: Sequence[CockroachNode]) -> None:
    """Make one cluster of started nodes; one that was initialised before stays as it is. Raises ProcessDied."""
    host = f"--host={LOOPBACK}:{nodes[0].port}"
    for _ in range(60):
        status, output = await _run(binary, "init", "--insecure", host)
        if status == 0 or "already been initialized" in output:
            break
        await asyncio.sleep(0.25)
    else:
        raise ProcessDied(f"cockroach init failed:\n{output[-2000:]}")
    for node in nodes:
        await _sql(binary, node, "SELECT 1")
    # Small, quiet, and quick to notice a dead store: the shortest time that CockroachDB allows.
    for statement in (
        f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
        "SET CLUSTER SETTING server.time_until_store_dead = '1m15s'",
        "SET CLUSTER SETTING timeseries.storage.enabled = false",
        "SET CLUSTER SETTING diagnostics.reporting.enabled = false",
    ):
        await _sql(binary, nodes[0], statement)


async def _sql(binary: Path, node: CockroachNode, statement: str) -> None:
    output = ""
    for _ in range(60):
        status, output = await _run(
            binary, "sql", "--insecure", f"--host={LOOPBACK}:{node.port}", "--execute", statement
        )
        if status == 0:
            return
        await asyncio.sleep(0.25)
    raise ProcessDied(f"{node.name}: {statement} failed:\n{output[-2000:]}")


async def _run(binary: Path, *arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        str(binary), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode(errors="replace")
