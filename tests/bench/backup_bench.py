"""Backup, verification and restore: seconds and CPU seconds for 100,000 transactions, of this process alone.

The database's own time comes on top: `wall` less `CPU` is mostly waiting for it, on a machine that does nothing else.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.backup.create import Create
from chronicle_ledger.backup.destination import open_url
from chronicle_ledger.backup.restore import Progress, Restore
from chronicle_ledger.backup.verify import Verify
from chronicle_ledger.store.migrate import migrate
from chronicle_ledger.store.pool import Database, open_pool
from support import ledger_servers
from support.bulk_ledger import load_transfers
from support.ledger_bench import Bench

from .table import Options, Row

TRANSACTIONS, QUICK = 100_000, 10_000


async def run(options: Options) -> list[Row]:
    """On PostgreSQL: the figures that depend on this code rather than on the database."""
    if options.database == "cockroachdb":
        return []
    count = QUICK if options.seconds <= 2 else TRANSACTIONS
    key = Ed25519PrivateKey.generate()
    with ledger_servers.postgres() as urls, tempfile.TemporaryDirectory(prefix="chronicle-bench-") as folder:
        source, target = (ledger_servers.create_database(urls)[0] for _ in range(2))
        for url in (source, target):
            await migrate(url)
        async with Bench([source]) as bench:
            await bench.open(
                await bench.service(statement_timeout=60.0),
                *(f"account {number}" for number in range(1000)),
                floor=None,
            )
            await load_transfers(bench.database, count)
        destination = open_url(f"file://{folder}/backups", make=True)
        databases: list[Database] = [await open_pool(url, size=3, statement_timeout=30.0) for url in (source, target)]
        steps: dict[str, float] = {}

        def report(progress: Progress) -> None:
            steps.setdefault(progress.step, time.monotonic())

        try:
            made = await _timed("create", count, Create(databases[0], destination, key).run)
            verified = await _timed("verify", count, Verify(destination).run)
            restored = await _timed("restore", count, Restore(databases[1], destination, report=report).run)
        finally:
            for database in databases:
                await database.close()
        ended = time.monotonic()
        begun = [*steps.values(), ended]
        parts = {name: round(until - since, 1) for (name, since), until in zip(steps.items(), begun[1:], strict=True)}
        return [
            made,
            verified,
            Row(restored.database, restored.what, restored.per_second, more={**restored.more, **parts}),
        ]


async def _timed(what: str, count: int, work: Callable[[], Awaitable[Any]]) -> Row:
    wall, cpu = time.monotonic(), time.process_time()
    await work()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    per = 100_000 / count
    figures = {"wall_seconds_per_100k": round(wall * per, 1), "cpu_seconds_per_100k": round(cpu * per, 1)}
    return Row("postgresql", what, count / wall, more=figures)
