"""Relay, projector and rebuild: do the copies keep up with the postings, and how fast is the read model made anew.

`chronicle serve relay` and `chronicle serve projector` are processes of their own beside three real NATS servers; the
postings come from a posting service in this process, without HTTP, so that they are as many as possible.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from chronicle_ledger.events.rebuild import Rebuild
from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.api_process import CHRONICLE, environment
from support.bulk_ledger import load_transfers
from support.event_bench import EventBench, until
from support.event_servers import NatsCluster

from .table import Options, Row

REBUILT = 100_000
SINGLES = 256
"""Transfers in flight, as many clients of single transfers have them."""

BATCH, BATCHES = 1_000, 4
"""Transfers of a batch and batches in flight, as in the benchmark of the ledger."""


async def run(options: Options) -> list[Row]:
    """On PostgreSQL: the figures that depend on this code rather than on the database."""
    if options.database == "cockroachdb":
        return []
    with ledger_servers.postgres() as urls:

        def database() -> str:
            return ledger_servers.create_database(urls)[0]

        # Servers of its own for each: the same transactions again would be duplicates to a stream that has seen them.
        with _nats() as nats:
            singles = await _keeping_up(database(), nats, options.seconds, SINGLES, 1)
        with _nats() as nats:
            batches = await _keeping_up(database(), nats, options.seconds, BATCH, BATCHES)
            return [singles, batches, await _rebuilding(database(), nats)]


@contextlib.contextmanager
def _nats() -> Iterator[NatsCluster]:
    nats = NatsCluster()
    nats.start()
    try:
        nats.wait_ready()
        yield nats
    finally:
        nats.close()


@contextlib.contextmanager
def _process(role: str, url: str, nats: NatsCluster) -> Iterator[int]:
    settings = environment(url, NATS_URLS=",".join(nats.urls), NATS_REPLICAS="3", LOG_LEVEL="warning")
    process = subprocess.Popen([CHRONICLE, "serve", role], env=settings)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _peak_memory(pid: int) -> float:
    """A process's largest resident size so far, in MiB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM; this needs Linux")


async def _keeping_up(url: str, nats: NatsCluster, seconds: float, size: int, at_once: int) -> Row:
    await migrate(url)
    async with EventBench(url, nats) as bench:
        await bench.open_accounts()
        with _process("relay", url, nats) as relay, _process("projector", url, nats) as projector:
            await bench.post(50)
            await bench.caught_up(60)
            begun, posted = time.monotonic(), 0
            while time.monotonic() - begun < seconds:
                await asyncio.gather(*(bench.post(size) for _ in range(at_once)))
                posted += size * at_once
            ended = time.monotonic()
            await until(lambda: _empty(bench), "the outbox is empty", 120)
            empty = time.monotonic() - ended
            await bench.caught_up(120)
            shown = time.monotonic() - ended
            memory = {"relay MiB": _peak_memory(relay), "projector MiB": _peak_memory(projector)}
        what = f"{size:,} at once" if at_once == 1 else f"{at_once} x {size:,} at once"
        return Row(
            "postgresql", f"posted while relay and projector follow, {what}", posted / (ended - begun),
            more={"backlog 0 after s": empty, "view current after s": shown, **memory},
        )  # fmt: skip


async def _empty(bench: EventBench) -> bool:
    return await bench.backlog() == 0


async def _rebuilding(url: str, nats: NatsCluster) -> Row:
    await migrate(url)
    async with EventBench(url, nats) as bench:
        await bench.open_accounts()
        await load_transfers(bench.database, REBUILT)
        done = await Rebuild(bench.database).run()
    more = {"seconds": done.seconds, "entries": float(done.entries)}
    return Row("postgresql", f"rebuild of {REBUILT:,} events", done.events_per_second, more=more)
