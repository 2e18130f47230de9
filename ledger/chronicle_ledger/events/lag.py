"""How far the read model is behind the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.stream import CONSUMER, STREAM
from chronicle_ledger.store import outbox, view_reads
from chronicle_ledger.store.pool import Database

FRESH_SECONDS = 0.1
JETSTREAM_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Lag:
    """`events` the read model does not show: those in the outbox and those in the stream not projected yet.
    `seconds` is the age of the oldest of them, at most (of a message not projected yet: since the last projected)."""

    backlog: int
    oldest_seconds: float
    pending: int
    seconds: float

    @property
    def events(self) -> int:
        """All that the read model does not show."""
        return self.backlog + self.pending


class LagMeter:
    """Measures once for all who ask within `FRESH_SECONDS`."""

    def __init__(self, database: Database, bus: Bus | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._last: Lag | None = None
        self._at = float("-inf")
        self._lock = asyncio.Lock()
        self._silent_until = float("-inf")

    async def read(self) -> Lag:
        """The lag now. Raises DatabaseUnavailable."""
        asked = self._clock()
        async with self._lock:
            if self._last is None or self._at < asked - FRESH_SECONDS:
                begun = self._clock()
                self._last = await self._measure()
                self._at = begun
            return self._last

    async def _measure(self) -> Lag:
        async with self._database.connection() as conn:
            backlog = await outbox.backlog(conn)
        # The outbox first: what leaves it meanwhile is counted in the stream, or twice, but never not at all.
        position = await view_reads.position(self._database)
        pending = await self._pending()
        if pending is None:
            # NATS is out, so nothing enters or leaves the stream: what was last seen is still so. This process may
            # have seen more than the projector wrote down.
            seen = self._last.pending if self._last is not None else 0
            pending = max(seen, position.pending if position is not None else 0)
        seconds = backlog.oldest_seconds
        if pending and position is not None:
            seconds = max(seconds, position.behind_seconds)
        return Lag(backlog.events, backlog.oldest_seconds, pending, seconds)

    async def _pending(self) -> int | None:
        if self._bus is None:
            return 0
        if not self._bus.connected or self._clock() < self._silent_until:
            return None
        try:
            js = self._bus.jetstream(JETSTREAM_SECONDS)
            try:
                info = await js.consumer_info(STREAM, CONSUMER)
            except NotFoundError:
                # No projector ever ran (or the stream is gone): whatever the stream holds waits.
                return (await js.stream_info(STREAM)).state.messages
        except NotFoundError:
            return 0
        except (NatsError, BusUnavailable, TimeoutError, OSError):
            # Not asked again by every reader while it is silent.
            self._silent_until = self._clock() + 1.0
            return None
        return (info.num_pending or 0) + (info.num_ack_pending or 0)
