"""What is said of the read model's lag while NATS does not answer: what is known, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import NotFoundError

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.events import lag
from chronicle_ledger.events.lag import UNKNOWN, LagMeter
from chronicle_ledger.store import outbox, view_reads
from chronicle_ledger.store.outbox import Backlog, Waiting
from chronicle_ledger.store.view_reads import Position

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


class Bus:
    """NATS as one process sees it: `delivered` and `pending` of the projector's consumer, or silence (None)."""

    connected = True

    def __init__(self) -> None:
        self.says: tuple[int, int] | None = None
        self.paused = False
        self.has_consumer = True
        self.came_at: dict[int, datetime] = {}
        self.client = SimpleNamespace(max_payload=1 << 20)

    def jetstream(self, timeout: float) -> Any:
        del timeout
        return self

    async def consumer_info(self, stream: str, consumer: str) -> Any:
        del stream, consumer
        if self.says is None:
            raise NatsTimeout
        if not self.has_consumer:
            raise NotFoundError
        delivered, pending = self.says
        place = SimpleNamespace(stream_seq=delivered, consumer_seq=1)
        return SimpleNamespace(
            num_pending=pending, num_ack_pending=0, delivered=place, ack_floor=place, paused=self.paused
        )

    async def stream_info(self, stream: str) -> Any:
        del stream
        assert self.says is not None
        return SimpleNamespace(state=SimpleNamespace(last_seq=sum(self.says), messages=sum(self.says)))

    async def get_msg(self, stream: str, *, seq: int, subject: str, next: bool) -> Any:  # noqa: A002 - as nats-py
        del stream, subject
        assert next
        later = [number for number in self.came_at if number >= seq]
        if not later:
            raise NotFoundError
        return SimpleNamespace(time=self.came_at[min(later)])


class World:
    """A ledger with an empty outbox, and what its projector has written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = Bus()
        self.now = 0.0
        self.position: Position | None = None
        self.backlog = 0
        monkeypatch.setattr(outbox, "backlog", self._backlog)
        monkeypatch.setattr(view_reads, "position", self._position)
        self.more = False
        self.oldest = 0.0
        self.answers = asyncio.Event()
        self.answers.set()
        self.fails = False
        self.counts = 0
        self.large: list[Waiting] = []
        monkeypatch.setattr(outbox, "larger", self._larger)
        self.meter = LagMeter(self, self.bus, lambda: self.now, lambda: NOW)  # type: ignore[arg-type]

    def projected(self, sequence: int, pending: int) -> None:
        self.position = Position(sequence, pending, 7.0, sequence, 0, 0, 0)

    async def lag(self) -> lag.Lag:
        self.now += 10
        return await self.meter.read()

    @contextlib.asynccontextmanager
    async def connection(self, seconds: float) -> AsyncIterator[None]:
        del seconds
        if self.fails:
            raise DatabaseUnavailable("The database does not answer.")
        yield

    async def _backlog(self, conn: object) -> Backlog:
        del conn
        self.counts += 1
        await self.answers.wait()
        return Backlog(self.backlog, self.oldest, self.more)

    async def _larger(self, conn: object, shards: object, bytes_: int, limit: int) -> list[Waiting]:
        del conn, shards
        return [row for row in self.large if row.bytes > bytes_][:limit]

    async def _position(self, database: object) -> Position | None:
        del database
        return self.position


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_before_nats_or_a_projector_was_heard_of_the_lag_is_unknown(world: World) -> None:
    world.backlog = 3
    found = await world.lag()
    assert (found.backlog, found.pending, found.events) == (3, None, None)


async def test_while_nats_is_out_what_was_in_the_stream_still_waits(world: World) -> None:
    world.projected(100, 0)
    world.bus.says = (100, 40)
    assert (await world.lag()).events == 40
    world.bus.says = None
    assert (await world.lag()).events == 40
    assert (await world.lag()).seconds == 7.0


async def test_a_projector_that_goes_on_while_this_process_hears_nothing_takes_its_lag_away(world: World) -> None:
    world.projected(100, 0)
    world.bus.says = (100, 454)
    assert (await world.lag()).events == 454
    world.bus.says = None
    world.projected(500, 54)
    assert (await world.lag()).events == 54
    world.projected(560, 0)
    assert (await world.lag()).events == 0


async def test_a_process_that_never_reached_nats_knows_what_the_projector_wrote_down(world: World) -> None:
    world.projected(80, 12)
    assert (await world.lag()).events == 12


async def test_a_projector_that_goes_back_for_redelivered_messages_adds_them(world: World) -> None:
    world.projected(100, 0)
    world.bus.says = (100, 0)
    assert (await world.lag()).events == 0
    world.bus.says = None
    world.projected(90, 10)
    assert (await world.lag()).events == 10


async def test_an_outbox_that_cannot_be_counted_makes_the_lag_unknown_and_nobody_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "MEASURE_SECONDS", 0.05)
    world.projected(100, 0)
    world.answers.clear()
    assert [await world.lag() for _ in range(3)] == [UNKNOWN] * 3
    assert world.counts == 1, "those who ask meanwhile wait for the same count"
    world.answers.set()
    assert (await world.lag()).events == 0
    world.fails = True
    assert await world.lag() == UNKNOWN
    await world.meter.close()


async def test_a_count_that_ended_at_its_bound_says_so(world: World) -> None:
    world.bus.says = (100, 0)
    world.backlog, world.more = 10_000, True
    measured = await world.lag()
    assert (measured.events, measured.more) == (10_000, True)


async def test_the_lag_is_the_age_of_the_oldest_message_and_not_the_time_since_the_last_projected(
    world: World,
) -> None:
    world.projected(100, 0)
    world.bus.says = (100, 2)
    world.bus.came_at = {101: NOW - timedelta(seconds=2), 102: NOW}
    assert (await world.lag()).seconds == 2.0, "although nothing has been projected for 7 seconds"
    world.bus.says = None
    assert (await world.lag()).seconds == 2.0, "as last heard"


async def test_a_consumer_that_is_paused_or_gone_is_the_reason_why_nothing_is_projected(world: World) -> None:
    world.projected(100, 0)
    world.bus.says = (100, 1)
    world.bus.came_at = {101: NOW - timedelta(seconds=120)}
    world.bus.paused = True
    paused = await world.lag()
    assert (paused.seconds, "consumer projector is paused" in paused.standstill) == (120.0, True)
    world.bus.has_consumer = False
    gone = await world.lag()
    assert (gone.seconds, "consumer projector does not exist" in gone.standstill) == (120.0, True)


async def test_events_that_nats_does_not_take_for_their_size_are_named(world: World) -> None:
    world.bus.says = (100, 0)
    world.large = [Waiting(3, UUID(int=1), 100_000, NOW)]
    assert (await world.lag()).too_large == (), "this server takes them"
    world.bus.client.max_payload = 65_536
    assert (await world.lag()).too_large == world.large
