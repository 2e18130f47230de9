"""The relay's figures of the outbox: measured, or absent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chronicle_ledger import metrics
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.events import relay
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.store import outbox
from chronicle_ledger.store.outbox import Backlog


class Answers:
    """A database that answers or does not, and `backlog` on it."""

    def __init__(self) -> None:
        self.available = True

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        if not self.available:
            raise DatabaseUnavailable("The database does not answer.")
        yield


async def until(true: Callable[[], bool]) -> None:
    """Let the relay work until it `true` is."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited in vain")


async def test_what_the_relay_cannot_measure_any_longer_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def backlog(_: Any) -> Backlog:
        return Backlog(3, 4.0)

    def exported() -> bool:
        return "chronicle_outbox_backlog_events 3.0" in metrics.exposition().decode()

    monkeypatch.setattr(outbox, "backlog", backlog)
    monkeypatch.setattr(relay, "MEASURE_SECONDS", 0.001)
    database = Answers()

    async def opened() -> Any:
        return database

    it = relay.Relay(opened, Bus({}, "test"), Any, worker="one", replicas=1)  # type: ignore[arg-type]
    it._database = database  # type: ignore[assignment]
    measuring = asyncio.create_task(it._measure())
    try:
        await until(exported)
        metrics.OUTBOX_TOO_LARGE.set(0)
        database.available = False
        await until(lambda: not exported())
        assert "chronicle_outbox_too_large_events 0.0" not in metrics.exposition().decode()
        database.available = True
        await until(exported)
    finally:
        measuring.cancel()
        metrics.OUTBOX_BACKLOG.forget()
        metrics.OUTBOX_OLDEST.forget()
        metrics.OUTBOX_TOO_LARGE.forget()
