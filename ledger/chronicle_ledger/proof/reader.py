"""What the API needs of events: the lag, the proof, and the connection behind both."""

from __future__ import annotations

from chronicle_ledger.events import bus as buses
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.proof.apart import ProofProcesses
from chronicle_ledger.settings import Settings
from chronicle_ledger.store.pool import Database


class EventsReader:
    """One for a process. Without CHRONICLE_NATS_URLS there is no bus, and the stream is left out of everything."""

    def __init__(self, database: Database, settings: Settings, *, own: Database | None = None) -> None:
        """Measure the lag over `own` (default: `database`), which no reader can take away."""
        self.bus = buses.of(settings, "api") if settings.nats_urls else None
        self.lag = LagMeter(own or database, self.bus)
        self.proofs = ProofProcesses()

    def start(self) -> None:
        """Begin to connect; waits for nothing."""
        if self.bus is not None:
            self.bus.start()

    async def close(self) -> None:
        """Give up what is under way and disconnect."""
        await self.proofs.close()
        await self.lag.close()
        if self.bus is not None:
            await self.bus.close()
