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
    """What the read model does not show: `backlog` events in the outbox, and `pending` in the stream that are not
    projected yet, None where nobody knows. `seconds` is the age of the oldest of them, at most (of a message not
    projected yet: since the last projected)."""

    backlog: int
    oldest_seconds: float
    pending: int | None
    seconds: float

    @property
    def events(self) -> int | None:
        """All that the read model does not show; None where nobody knows."""
        return None if self.pending is None else self.backlog + self.pending


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
        self._top: int | None = None
        """The stream's last sequence, as last heard."""

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
            pending = self._remembered(position)
        seconds = backlog.oldest_seconds
        if pending and position is not None:
            seconds = max(seconds, position.behind_seconds)
        return Lag(backlog.events, backlog.oldest_seconds, pending, seconds)

    def _remembered(self, position: view_reads.Position | None) -> int | None:
        """How many messages wait as far as one can tell while NATS does not answer this process. None before it has
        ever answered and before the first batch of a projector.

        The stream ended where this process or the projector last saw its end, and the projector is where it says it
        is: it may reach NATS while this process does not, so a count that was true once would be too large.
        """
        projected = position.stream_sequence if position is not None else 0
        ends = [] if self._top is None else [self._top]
        if position is not None:
            ends.append(position.stream_sequence + position.pending)
        return max(0, max(ends) - projected) if ends else None

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
                state = (await js.stream_info(STREAM)).state
                self._top = state.last_seq
                return state.messages
        except NotFoundError:
            return 0
        except (NatsError, BusUnavailable, TimeoutError, OSError):
            # Not asked again by every reader while it is silent.
            self._silent_until = self._clock() + 1.0
            return None
        waiting = info.num_pending or 0
        self._top = (info.delivered.stream_seq if info.delivered else 0) + waiting
        return waiting + (info.num_ack_pending or 0)
