"""Which leases this process holds: each live process of a role takes its share, and the shares of the dead."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence

from chronicle_ledger import logs
from chronicle_ledger.events.bus import TROUBLE
from chronicle_ledger.store import leases
from chronicle_ledger.store.pool import Database

log = logs.get(__name__)

LEASE_SECONDS = 3.0
"""A dead process's work is taken over within this and one renewal."""

RENEWALS = 3
"""Renewals within one lease, so that one slow statement does not lose it."""

SWEEP_SECONDS = 60.0
"""How often a process removes the rows of dead ones."""


class Shares:
    """Holds leases named `role/…`. A lease only keeps processes from doing the same work twice: doing it twice would
    be harmless (JetStream knows the message, the projector knows the version), merely wasteful."""

    def __init__(
        self,
        database: Database,
        role: str,
        worker: str,
        items: Sequence[str],
        *,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._role = role
        self._worker = worker
        self._names = [f"{role}/{item}" for item in items]
        self._seconds = seconds
        self._clock = clock
        self._held: set[str] = set()
        self._until = 0.0
        self._swept_at = float("-inf")
        self.changed = asyncio.Event()

    @property
    def held(self) -> list[str]:
        """The items held now; none once renewing has failed for as long as a lease lasts."""
        if self._clock() >= self._until:
            return []
        return sorted(name.removeprefix(f"{self._role}/") for name in self._held)

    async def run(self) -> None:
        """Renew and rebalance for ever; database failures are logged and tried again."""
        while True:
            begun = self._clock()
            try:
                # Not wait_for: before Python 3.12 it can lose a cancellation that comes as its work ends
                # (python/cpython#86296), and this loop would never end.
                async with asyncio.timeout(self._seconds):
                    await self.renew()
            except TROUBLE as error:
                log.warning("leases not renewed", role=self._role, error=str(error).strip() or type(error).__name__)
            await asyncio.sleep(max(0.05, self._seconds / RENEWALS - (self._clock() - begun)))

    async def renew(self) -> None:
        """One round: say that we live, give back what is too much, take what is free, extend the rest."""
        begun = self._clock()
        async with self._database.connection() as conn:
            await leases.beat(conn, self._role, self._worker, self._seconds)
            if begun - self._swept_at >= SWEEP_SECONDS:
                await leases.sweep(conn, self._role)
                self._swept_at = begun
            share = await leases.share(conn, self._role, self._names, self._worker)
            fair = math.ceil(len(self._names) / share.members)
            free = share.available
            # What is held comes first, so that work moves only when the number of processes changes.
            wanted = sorted(free, key=lambda name: (name not in self._held, name))[:fair]
            await leases.release(conn, sorted(self._held - set(wanted)), self._worker)
            held = await leases.claim(conn, wanted, self._worker, self._seconds)
        self._until = begun + self._seconds
        if held != self._held:
            log.info("leases", role=self._role, held=len(held), members=share.members)
            self._held = held
            self.changed.set()

    async def give_up(self) -> None:
        """Leave at once, so that nobody waits for the leases to run out."""
        self._held = set()
        with contextlib.suppress(*TROUBLE):
            async with asyncio.timeout(1.0), self._database.connection() as conn:
                await leases.leave(conn, self._role, self._worker)
