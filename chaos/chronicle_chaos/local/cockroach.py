"""CockroachDB nodes as processes: two in region-a, one in region-b, which meet through proxies only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.local.folders import make_private
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.process import Command, ProcessDied, SupervisedProcess, output_of

DATABASE = "chronicle"
TRY_SECONDS = 20.0
"""How long one call of the client may take: `cockroach init` waits for good for a node that does not get ready."""

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
        home = make_private(folder / self.name)
        # Relative names: `--store` takes a comma in a path for the end of it, and has no way to quote one.
        arguments = [
            str(binary), "start", "--insecure", "--store=data",
            f"--listen-addr={LOOPBACK}:{self.port}", f"--http-addr={LOOPBACK}:{self.http}",
            f"--advertise-addr={LOOPBACK}:{self.advertised}",
            f"--locality=region={self.region}",
            f"--locality-advertise-addr=region={self.region}@{LOOPBACK}:{self.port}",
            f"--join={','.join(f'{LOOPBACK}:{port}' for port in self.join)}",
            f"--cache={CACHE}", "--max-sql-memory=64MiB", "--log-dir=logs", "--logtostderr=WARNING",
        ]  # fmt: skip
        # The Go runtime's own limit keeps three nodes within what a small machine has.
        # A store looks at its ranges one after the other, at most a second apart: with the fifty of a new cluster, most
        # of a minute until each has its third replica. Shorter pauses cost nothing at this size.
        environment = {
            "GOMEMLIMIT": "400MiB",
            "COCKROACH_SCAN_MAX_IDLE_TIME": "100ms",
            "COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING": "true",
        }
        command = Command(arguments, environment, folder=home)
        return SupervisedProcess(self.name, command, home / "cockroach.log", grace=8.0)


async def initialise(binary: Path, nodes: Sequence[CockroachNode], check: Callable[[], None]) -> None:
    """Make one cluster of started nodes; one that was initialised before stays as it is.

    `check` raises where one of them has ended. Raises ProcessDied.
    """
    host = f"--host={LOOPBACK}:{nodes[0].port}"

    def initialised(status: int | None, output: str) -> bool:
        return status == 0 or "already been initialized" in output

    await _insist((str(binary), "init", "--insecure", host), initialised, check)
    for node in nodes:
        await _sql(binary, node, "SELECT 1", check)
    # Small, quiet, and quick to notice a dead store: the shortest time that CockroachDB allows.
    for statement in (
        f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
        "SET CLUSTER SETTING server.time_until_store_dead = '1m15s'",
        "SET CLUSTER SETTING timeseries.storage.enabled = false",
        "SET CLUSTER SETTING diagnostics.reporting.enabled = false",
    ):
        await _sql(binary, nodes[0], statement, check)


async def _sql(binary: Path, node: CockroachNode, statement: str, check: Callable[[], None]) -> None:
    arguments = (str(binary), "sql", "--insecure", f"--host={LOOPBACK}:{node.port}", "--execute", statement)
    await _insist(arguments, lambda status, _: status == 0, check)


async def _insist(
    arguments: Sequence[str], enough: Callable[[int | None, str], bool], check: Callable[[], None]
) -> None:
    """Run a command until its result is `enough`. Raises ProcessDied past sixty tries, or what `check` raises."""
    output = ""
    for _ in range(60):
        status, output = await output_of(Command(arguments), seconds=TRY_SECONDS)
        if enough(status, output):
            return
        check()
        await asyncio.sleep(0.25)
    raise ProcessDied(f"cockroach {' '.join(arguments[1:])} failed:\n{output[-2000:]}")
