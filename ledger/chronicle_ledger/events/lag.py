"""How far the read model is behind the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.domain.payload import SHARDS
from chronicle_ledger.ending import end
from chronicle_ledger.events import sizes
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.stream import CONSUMER, STREAM, SUBJECTS
from chronicle_ledger.store import outbox, view_reads
from chronicle_ledger.store.failures import DATABASE_ERRORS
from chronicle_ledger.store.outbox import Waiting
from chronicle_ledger.store.pool import Database

FRESH_SECONDS = 0.1
JETSTREAM_SECONDS = 0.5

MEASURE_SECONDS = 1.0
"""A measurement that takes longer is not waited for: those who ask get an answer without it."""

SHOWN = 3
"""Events that are too large which are named at once."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What the read model does not show; each figure is None where it is not known.

    `backlog` events wait in the outbox (where `more`, at least so many), and `pending` in the stream are not projected
    yet. `seconds` is the age of the oldest of them, `oldest_seconds` of those in the outbox. `too_large` are events
    that NATS does not take, `standstill` says why nothing is projected, where the consumer itself says so.
    """

    backlog: int | None = None
    oldest_seconds: float | None = None
    pending: int | None = None
    seconds: float | None = None
    more: bool = False
    too_large: Sequence[Waiting] = ()
    standstill: str = ""

    @property
    def events(self) -> int | None:
        """All that the read model does not show; where `more`, at least so many."""
        return None if self.pending is None or self.backlog is None else self.backlog + self.pending


UNKNOWN = Lag()


@dataclass(frozen=True, slots=True)
class _Stream:
    """What JetStream says: how many messages wait, since when the oldest does, and what stands in the way."""

    pending: int
    since: datetime | None = None
    standstill: str = ""


class LagMeter:
    """Measures once for all who ask within `FRESH_SECONDS`, and lets nobody wait for longer than `MEASURE_SECONDS`."""

    def __init__(
        self,
        database: Database,
        bus: Bus | None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._now = now
        self._last = UNKNOWN
        self._at = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self._silent_until = float("-inf")
        self._top: int | None = None
        """The stream's last sequence, as last heard."""
        self._since: datetime | None = None
        """When the oldest message that was not projected came into the stream, as last heard."""

    async def read(self) -> Lag:
        """The lag now; unknown where it cannot be measured in time."""
        asked = self._clock()
        loop = asyncio.get_running_loop()
        ends = loop.time() + MEASURE_SECONDS
        while self._at < asked - FRESH_SECONDS:
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._measured(), name="lag")
            # Not cancelled when it takes too long: the next who asks waits for the same measurement.
            done, _ = await asyncio.wait({self._running}, timeout=max(0.0, ends - loop.time()))
            if not done:
                return UNKNOWN
            self._running.result()
        return self._last

    async def close(self) -> None:
        """Give up a measurement that is under way."""
        if self._running is not None:
            await end(self._running)

    async def _measured(self) -> None:
        begun = self._clock()
        try:
            self._last = await self._measure()
        except (DatabaseUnavailable, *DATABASE_ERRORS):
            self._last = UNKNOWN
        self._at = begun

    async def _measure(self) -> Lag:
        async with self._database.connection(MEASURE_SECONDS) as conn:
            backlog = await outbox.backlog(conn)
        # The outbox first: what leaves it meanwhile is counted in the stream, or twice, but never not at all.
        position = await view_reads.position(self._database)
        found = await self._stream(position)
        if found is None:
            pending, since = self._remembered(position), self._since
        else:
            pending, since = found.pending, found.since
            self._since = since if pending else None
        seconds = backlog.oldest_seconds
        if pending and since is not None:
            seconds = max(seconds, (self._now() - since).total_seconds())
        elif pending and position is not None:
            seconds = max(seconds, position.behind_seconds)  # no older than the first after the last projected
        return Lag(
            backlog.events, backlog.oldest_seconds, pending, seconds, backlog.more,
            await self._too_large(backlog.oldest_seconds), found.standstill if found is not None else "",
        )  # fmt: skip

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

    async def _stream(self, position: view_reads.Position | None) -> _Stream | None:
        if self._bus is None:
            return _Stream(0)
        if not self._bus.connected or self._clock() < self._silent_until:
            return None
        try:
            js = self._bus.jetstream(JETSTREAM_SECONDS)
            try:
                return await self._consumer(js, await js.consumer_info(STREAM, CONSUMER))
            except NotFoundError:
                return await self._without_consumer(js, position)
        except NotFoundError:
            return _Stream(0)
        except (NatsError, BusUnavailable, TimeoutError, OSError):
            # Not asked again by every reader while it is silent.
            self._silent_until = self._clock() + 1.0
            return None

    async def _consumer(self, js: JetStreamContext, info: ConsumerInfo) -> _Stream:
        waiting = info.num_pending or 0
        self._top = (info.delivered.stream_seq if info.delivered else 0) + waiting
        pending = waiting + (info.num_ack_pending or 0)
        if not pending:
            return _Stream(0)
        standstill = ""
        if info.paused:
            standstill = f"consumer {CONSUMER} is paused: `nats consumer resume {STREAM} {CONSUMER}`"
        return _Stream(pending, await _since(js, info.ack_floor.stream_seq if info.ack_floor else 0), standstill)

    async def _without_consumer(self, js: JetStreamContext, position: view_reads.Position | None) -> _Stream:
        """No projector ever ran, or somebody deleted its consumer: whatever the stream holds waits."""
        state = (await js.stream_info(STREAM)).state
        self._top = state.last_seq
        projected = position.stream_sequence if position is not None else 0
        since = await _since(js, projected) if state.last_seq > projected else None
        return _Stream(state.messages, since, f"consumer {CONSUMER} does not exist; a projector makes it")

    async def _too_large(self, oldest_seconds: float) -> Sequence[Waiting]:
        if self._bus is None or not self._bus.connected:
            return ()
        largest = sizes.largest_message(self._bus)
        if not sizes.worth_a_look(largest, oldest_seconds):
            return ()
        async with self._database.connection(MEASURE_SECONDS) as conn:
            return await outbox.larger(conn, range(SHARDS), largest, SHOWN)


async def _since(js: JetStreamContext, sequence: int) -> datetime | None:
    """When the first message after `sequence` came into the stream."""
    try:
        message = await js.get_msg(STREAM, seq=sequence + 1, subject=SUBJECTS, next=True)
    except NotFoundError:
        return None
    return message.time
