"""Several replicas on the same few accounts: what waiting for each other's locks costs, with and without lanes.

Posting services in this process, without HTTP; transfers between 60 accounts by 60 closed-loop clients, each of which
asks any replica, as a load balancer would have it. `fixed` keeps three batches of each replica in flight whatever
happens.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence

from chronicle_ledger.posting import lanes
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.ledger_bench import Bench, account_named, transfer

from .table import Options, Row

ACCOUNTS, CLIENTS, REPLICAS = 60, 60, 3
NAMES = [f"shared {number}" for number in range(ACCOUNTS)]


async def run(options: Options) -> list[Row]:
    """On each kind of database: one replica, three with lanes, three without."""
    rows: list[Row] = []
    if options.database != "cockroachdb":
        with ledger_servers.postgres() as templates:
            rows += await _measured("postgresql", templates, options.seconds)
    binary = ledger_servers.cockroach_binary()
    if options.database != "postgresql" and binary is not None:
        with ledger_servers.cockroach(binary) as templates:
            rows += await _measured("cockroachdb", templates, options.seconds)
    return rows


class _Fixed(lanes.Lanes):
    """Lanes that never narrow: the comparison."""

    def narrow(self) -> None:
        pass


async def _measured(database: str, templates: list[str], seconds: float) -> list[Row]:
    urls = ledger_servers.create_database(templates)
    await migrate(urls[0])
    rows: list[Row] = []
    for what, replicas, fixed in (
        ("1 replica", 1, False),
        (f"{REPLICAS} replicas, lanes", REPLICAS, False),
        (f"{REPLICAS} replicas, fixed", REPLICAS, True),
    ):
        async with Bench(urls) as bench:
            services = [await bench.service(size=8) for _ in range(replicas)]
            for service in services if fixed else ():
                service._lanes.__class__ = _Fixed
            await bench.open(services[0], *NAMES, floor=None)
            rows.append(await _load(database, what, services, seconds))
    return rows


async def _load(database: str, what: str, services: Sequence[PostingService], seconds: float) -> Row:
    accounts = [account_named(name) for name in NAMES]
    latencies: list[float] = []
    prefix = uuid.uuid4().hex
    began = time.perf_counter()

    async def client(number: int) -> None:
        rng, sent = random.Random(number), 0
        while (now := time.perf_counter()) < began + seconds:
            sent += 1
            one, other = rng.sample(accounts, 2)
            await rng.choice(services).submit(transfer(f"{prefix} {number} {sent}", one, other, 1), deadline=60)
            latencies.append(time.perf_counter() - now)

    await asyncio.gather(*[client(number) for number in range(CLIENTS)])
    elapsed = time.perf_counter() - began
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return Row(database, f"{what}, {ACCOUNTS} shared accounts", len(latencies) / elapsed, p50, p99)
