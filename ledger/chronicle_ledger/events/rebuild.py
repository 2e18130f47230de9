"""`chronicle rebuild`: the read model made anew from the ledger, while reads (and postings) go on.

A new generation is filled beside the one that is read: first all entries in pages, then what was posted meanwhile.
Then one row changes which generation is read, and the old one is deleted. Readers see the old one or the new one,
never half of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from chronicle_ledger.events.view_writer import ViewWriter, in_transaction
from chronicle_ledger.store import leases, view_generations, view_load, view_writes
from chronicle_ledger.store.pool import Connection, Database

PAGE = 5000
ACCOUNTS = 200
LEASE = "rebuild/view"
LEASE_SECONDS = 30.0
ROUNDS = 10

Report = Callable[[int], None]


class RebuildRunning(Exception):
    """Another rebuild holds the lease; wait for it, or for the lease's 30 seconds if it died."""


class RebuildOvertaken(Exception):
    """This rebuild stood still for longer than its lease, and another one has begun since. The read model is that of
    the other; what this one had written is deleted by it, or by the next one."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done. `events` counts transactions (each entry belongs to one, a transaction has two or more)."""

    generation: int
    entries: int
    events: int
    seconds: float
    deleted: int

    @property
    def events_per_second(self) -> float:
        """Until the new generation was read; deleting the old one is not in it."""
        return self.events / self.seconds if self.seconds else 0.0


class Rebuild:
    """One run. `progress` is called with the number of entries so far."""

    def __init__(self, database: Database, progress: Report = lambda _: None) -> None:
        self._database = database
        self._progress = progress
        self._writer = ViewWriter(database)
        self._holder = uuid4().hex
        self._entries = 0
        self._leased_at = 0.0

    async def run(self) -> Rebuilt:
        """Make the read model anew. Raises RebuildRunning, RebuildOvertaken, DatabaseUnavailable."""
        begun = time.monotonic()
        await self._hold_lease()
        try:
            async with self._database.connection() as conn:
                old = await view_generations.current(conn)
                leftovers = await view_generations.others(conn, old)
            new = max([old, *leftovers]) + 1
            await self._load(new)
            # Each round is shorter than the one before, since less was posted meanwhile.
            for _ in range(ROUNDS):
                if await self._catch_up(new) == 0:
                    break
            await in_transaction(self._database, lambda conn: self._switch(conn, new))
            # What was posted in the last moment before, and has not come by the stream yet.
            await self._catch_up(new, live=True)
            async with self._database.connection() as conn:
                events = await _transactions(conn)
            seconds = time.monotonic() - begun
            deleted = 0
            for generation in [*leftovers, old]:
                deleted += await self._delete(generation)
        finally:
            async with self._database.connection() as conn:
                await leases.release(conn, [LEASE], self._holder)
        return Rebuilt(new, self._entries, events, seconds, deleted)

    async def _hold_lease(self) -> None:
        async with self._database.connection() as conn:
            if not await leases.claim(conn, [LEASE], self._holder, LEASE_SECONDS):
                raise RebuildRunning("another rebuild is running; wait for its end (or 30 seconds if it was killed)")
        self._leased_at = time.monotonic()

    async def _load(self, generation: int) -> None:
        """All entries of the ledger in pages, then what follows from them. No snapshot is needed: an account's entries
        are dense, so wherever its pages end is a state that it was in."""
        at: tuple[UUID, int] | None = (UUID(int=0), 0)
        while at is not None:
            count, at = await self._page(generation, at)
            self._entries += count
            self._progress(self._entries)
        after: UUID | None = None
        while True:
            async with self._database.connection() as conn:
                bounds = await view_load.account_range(conn, after, ACCOUNTS)
            if bounds is None:
                return
            await self._summaries(generation, *bounds)
            after = bounds[1]

    async def _page(self, generation: int, at: tuple[UUID, int]) -> tuple[int, tuple[UUID, int] | None]:
        await self._keep_lease()
        return await in_transaction(self._database, lambda conn: view_load.statements(conn, generation, at, PAGE))

    async def _summaries(self, generation: int, first: UUID, last: UUID) -> None:
        await self._keep_lease()
        await in_transaction(self._database, lambda conn: view_load.summaries(conn, generation, first, last))

    async def _keep_lease(self) -> None:
        if time.monotonic() - self._leased_at > LEASE_SECONDS / 3:
            async with self._database.connection() as conn:
                await self._renew_lease(conn)
            self._leased_at = time.monotonic()

    async def _renew_lease(self, conn: Connection) -> None:
        if not await leases.renew(conn, LEASE, self._holder, LEASE_SECONDS):
            raise RebuildOvertaken(
                f"stood still for longer than {LEASE_SECONDS:.0f} s, and another rebuild has begun since;"
                " nothing was switched, so let the other one end and look at `chronicle proof`"
            )

    async def _catch_up(self, generation: int, *, live: bool = False) -> int:
        """Bring `generation` to the ledger's versions; return how many accounts were behind.

        A `live` one is written by the projector too: each page then takes the lock that the projector takes. Without
        it both would read an account at one version, and both would add the next entries to the totals of its days.
        """
        after: UUID | None = None
        total = 0
        while True:
            async with self._database.connection() as conn:
                late, after = await view_generations.behind(conn, generation, after)
            if not live:
                await self._keep_lease()
            for account, version in late:
                self._entries += await self._writer.fill(account, version, None if live else generation)
            total += len(late)
            if after is None:
                return total

    async def _switch(self, conn: Connection, generation: int) -> None:
        # Another one would be deleting this generation by now.
        await self._renew_lease(conn)
        old = await view_writes.lock_generation(conn)
        # The projector went on in the old generation: without its last batches an account would go back for a moment,
        # and a trial balance would show one side of a transfer although nothing is behind.
        after: UUID | None = None
        while True:
            late, after = await view_generations.older(conn, generation, old, after)
            for account, version in late:
                while added := await self._writer.fill_page(conn, generation, account, version):
                    self._entries += added
            if after is None:
                break
        await view_generations.switch(conn, generation)

    async def _delete(self, generation: int) -> int:
        total = 0
        while True:
            deleted = await in_transaction(self._database, lambda conn: view_generations.delete_some(conn, generation))
            if not deleted:
                return total
            total += deleted


async def _transactions(conn: Connection) -> int:
    cursor = await conn.execute("SELECT count(*) FROM txn")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
