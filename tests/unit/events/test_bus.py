"""The connection to NATS, closed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from chronicle_ledger.events import bus as buses
from chronicle_ledger.events.bus import Bus


class LosesACancellation:
    """A client that connects in the instant in which it is told to stop, as nats-py can before Python 3.12."""

    is_connected = True

    def __init__(self) -> None:
        self.connecting = asyncio.Event()
        self.closed = False

    async def connect(self, **options: Any) -> None:
        assert options["max_reconnect_attempts"] == -1
        self.connecting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    @property
    def is_closed(self) -> bool:
        return self.closed

    async def close(self) -> None:
        self.closed = True


async def closed_at_once(client: LosesACancellation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a bus on this client and close it as soon as the client is connecting."""
    monkeypatch.setattr(buses, "Client", lambda: client)
    bus = Bus({}, "test")
    bus.start()
    await client.connecting.wait()
    async with asyncio.timeout(10):
        await bus.close()
    assert client.closed


async def test_a_bus_closed_while_it_connects_ends_and_closes_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_at_once(LosesACancellation(), monkeypatch)


class OpensAgain(LosesACancellation):
    """A client closed while it reconnects, whose reconnection loses the cancellation and opens it again."""

    def __init__(self) -> None:
        super().__init__()
        self.closings = 0
        self._reconnection_task: asyncio.Task[None] | None = None

    async def connect(self, **_: Any) -> None:
        self._reconnection_task = asyncio.create_task(self.reconnect())
        await asyncio.sleep(0)
        self.connecting.set()

    async def reconnect(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        self.closed = False
        await asyncio.Event().wait()

    async def close(self) -> None:
        assert self._reconnection_task is not None
        self._reconnection_task.cancel()
        self.closings += 1
        self.closed = True


async def test_a_client_that_opens_again_while_it_is_closed_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = OpensAgain()
    await closed_at_once(client, monkeypatch)
    assert client.closings == 2
    assert client._reconnection_task is not None
    assert client._reconnection_task.done()


class RefusedOnce(LosesACancellation):
    """A client that the server refuses."""

    async def connect(self, **_: Any) -> None:
        self.connecting.set()
        raise OSError("authorization violation")


async def test_a_client_that_was_refused_is_closed_before_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    refused, stale = RefusedOnce(), Stale()
    left = iter((refused, stale))
    monkeypatch.setattr(buses, "Client", lambda: next(left))
    bus = Bus({}, "test")
    bus.start()
    try:
        assert await bus.wait_connected(5.0)
        assert refused.closed
        assert not stale.closed
    finally:
        await bus.close()
    assert stale.closed


class Stale(LosesACancellation):
    """A client whose server is gone, while nats-py still waits for the old connection to close and tells nobody."""

    async def connect(self, **_: Any) -> None:
        self.connecting.set()


async def test_waiting_for_a_connection_takes_its_time_even_before_the_loss_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Stale()
    monkeypatch.setattr(buses, "Client", lambda: client)
    bus = Bus({}, "test")
    bus.start()
    try:
        assert await bus.wait_connected(5.0)
        client.is_connected = False
        began = asyncio.get_running_loop().time()
        assert not await bus.wait_connected(0.3)
        assert asyncio.get_running_loop().time() - began >= 0.29
        waiting = asyncio.create_task(bus.wait_connected(5.0))
        await asyncio.sleep(0)
        client.is_connected = True
        assert await waiting
    finally:
        await bus.close()
