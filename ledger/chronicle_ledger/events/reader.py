"""What the API needs of events: the lag, the proof, and the connection behind both."""

from __future__ import annotations

import asyncio

from chronicle_ledger.ending import end
from chronicle_ledger.events import bus as buses
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.events.proof import Proof, prove
from chronicle_ledger.settings import Settings
from chronicle_ledger.store.pool import Database


class EventsReader:
    """One for a process. Without CHRONICLE_NATS_URLS there is no bus, and the stream is left out of everything."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self.bus = buses.of(settings, "api") if settings.nats_urls else None
        self.lag = LagMeter(database, self.bus)
        self._running: asyncio.Task[Proof] | None = None
        self._next: asyncio.Task[Proof] | None = None

    def start(self) -> None:
        """Begin to connect; waits for nothing."""
        if self.bus is not None:
            self.bus.start()

    async def proof(self) -> Proof:
        """A proof that began after this call. One runs at a time; all who wait for the next one share it."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(prove(self._database, self.bus), name="proof")
            return await asyncio.shield(self._running)
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._after(self._running), name="next proof")
        return await asyncio.shield(self._next)

    async def _after(self, running: asyncio.Task[Proof]) -> Proof:
        await asyncio.wait({running})
        self._running, self._next = self._next, None
        return await prove(self._database, self.bus)

    async def close(self) -> None:
        """Give up what is under way and disconnect."""
        await end(*(task for task in (self._running, self._next) if task is not None))
        if self.bus is not None:
            await self.bus.close()
