"""What is said of the read model's lag while NATS does not answer: what is known, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from nats.errors import TimeoutError as NatsTimeout

from chronicle_ledger.events import lag
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.store import outbox, view_reads
from chronicle_ledger.store.view_reads import Position


class Bus:
    """NATS as one process sees it: `delivered` and `pending` of the projector's consumer, or silence (None)."""

    connected = True

    def __init__(self) -> None:
        self.says: tuple[int, int] | None = None

    def jetstream(self, timeout: float) -> Any:
        del timeout
        return self

    async def consumer_info(self, stream: str, consumer: str) -> Any:
        del stream, consumer
        if self.says is None:
            raise NatsTimeout
        delivered, pending = self.says
        return SimpleNamespace(
            num_pending=pending, num_ack_pending=0, delivered=SimpleNamespace(stream_seq=delivered, consumer_seq=1)
        )


class World:
    """A ledger with an empty outbox, and what its projector has written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = Bus()
        self.now = 0.0
        self.position: Position | None = None
        self.backlog = 0
        monkeypatch.setattr(outbox, "backlog", self._backlog)
        monkeypatch.setattr(view_reads, "position", self._position)
        self.meter = LagMeter(self, self.bus, lambda: self.now)  # type: ignore[arg-type]

    def projected(self, sequence: int, pending: int) -> None:
        self.position = Position(sequence, pending, 7.0, sequence, 0, 0, 0)

    async def lag(self) -> lag.Lag:
        self.now += 10
        return await self.meter.read()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield

    async def _backlog(self, conn: object) -> Any:
        del conn
        return SimpleNamespace(events=self.backlog, oldest_seconds=0.0)

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
