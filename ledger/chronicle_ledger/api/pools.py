"""The connections of an API replica, in shares that cannot take from each other: postings, reads, the replica's own.

However many ask, and whatever they ask: postings find a connection, and so do the probes that decide whether the
replica is sent any work.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from chronicle_ledger.settings import Settings
from chronicle_ledger.store.pool import Database, open_pool

OWN = 2
"""For probes, the lag of the read model, and the search for expired holds."""


@dataclass(frozen=True, slots=True)
class Pools:
    """One for each kind of work."""

    postings: Database
    reads: Database
    own: Database
    status: Database | None = None
    """For the state of the database's nodes, as a user of its own."""

    @property
    def all(self) -> tuple[Database, ...]:
        """Every one."""
        shares = (self.postings, self.reads, self.own)
        return shares if self.status is None else (*shares, self.status)

    def figures(self) -> Mapping[str, float]:
        """Return the statistics of all, added up."""
        total: Counter[str] = Counter()
        for database in self.all:
            total.update(database.pool.get_stats())
        return total

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(database.close() for database in self.all))


async def open_pools(settings: Settings) -> Pools:
    """Open them; they connect in the background."""

    async def opened(kind: str, size: int, max_waiting: int = 0, url: str = settings.database_url) -> Database:
        return await open_pool(
            url,
            size=size,
            statement_timeout=settings.statement_timeout,
            name=f"chronicle-api-{kind} {settings.instance}"[:63],
            wait=settings.database_wait,
            max_waiting=max_waiting,
            pooler=settings.database_pooler,
        )

    reads = settings.database_pool_size // 2
    pools = Pools(
        await opened("postings", settings.database_pool_size - reads),
        await opened("reads", reads, settings.database_max_waiting),
        await opened("own", OWN),
        await opened("status", 1, url=settings.status_database_url) if settings.status_database_url else None,
    )
    for database in pools.all:
        database.companions = tuple(other for other in pools.all if other is not database)
    return pools
