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

    async def close(self) -> None:
        self.closed = True


async def test_a_bus_closed_while_it_connects_ends_and_closes_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    client = LosesACancellation()
    monkeypatch.setattr(buses, "Client", lambda: client)
    bus = Bus({}, "test")
    bus.start()
    await client.connecting.wait()
    async with asyncio.timeout(10):
        await bus.close()
    assert client.closed


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
