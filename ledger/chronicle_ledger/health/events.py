"""The components of /health that belong to events. None is vital: postings need neither NATS nor the read model."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chronicle_ledger import logs
from chronicle_ledger.events import stream
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.lag import Lag
from chronicle_ledger.health.database import REMEMBERED_SECONDS
from chronicle_ledger.health.health import Component
from chronicle_ledger.proof.reader import EventsReader
from chronicle_ledger.settings import Settings

log = logs.get(__name__)

PROBE_SECONDS = 1.0

JETSTREAM_SECONDS = 1.0

WAITS_SECONDS = 30.0
"""Age of an event that is not projected yet at which that is no delay any more: something does not run."""

NOT_MEASURED = "the outbox could not be counted in time, so how many events wait is unknown"


def of_events(settings: Settings, events: EventsReader) -> list[Component]:
    """The components that `settings` call for: without NATS there is no stream, no relay and no read model."""
    if not settings.nats_urls:
        return []
    return [
        NatsComponent(settings.nats_urls, events.bus),
        RelayComponent(events, settings.outbox_retention),
        ReadModelComponent(events, settings.lag_limit),
    ]


class NatsComponent:
    """Each NATS server: whether it accepts a connection and sends its INFO line, which a frozen process does not. And
    the stream: whether JetStream has it, and who leads it."""

    name = "nats"
    vital = False

    def __init__(self, urls: Sequence[str], bus: Bus | None = None) -> None:
        self._urls = urls
        self._bus = bus
        self._known: dict[int, bool] = {}

    async def probe(self) -> Mapping[str, Any]:
        """`ok` when all servers answer and the stream is there, `down` when none answers, else `degraded`."""
        looking = asyncio.gather(*(_answers(url) for url in self._urls))
        trouble = await self._trouble()
        answers = await looking
        servers = [{"server": number, "status": "ok" if up else "down"} for number, up in enumerate(answers, 1)]
        self._log_changes(answers)
        if not any(answers):
            return {"status": "down", "servers": servers}
        if trouble:
            return {"status": "degraded", **trouble, "servers": servers}
        return {"status": "ok" if all(answers) else "degraded", "servers": servers}

    def _log_changes(self, answers: Sequence[bool]) -> None:
        """Say which server is which. Those who ask for /health have no key, so that it names none."""
        for number, (url, up) in enumerate(zip(self._urls, answers, strict=True), 1):
            if self._known.get(number) is not up:
                self._known[number] = up
                log.info("NATS server", server=number, url=_without_password(url), up=up)

    async def _trouble(self) -> Mapping[str, str]:
        if self._bus is None:
            return {}
        try:
            trouble = await stream.trouble(self._bus.jetstream(JETSTREAM_SECONDS))
        except BusUnavailable as error:
            return {"error": str(error)}
        return {} if trouble is None else {"stream": trouble}


def _without_password(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"


async def _answers(url: str) -> bool:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            try:
                return (await reader.readline()).startswith(b"INFO ")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False


class _RecentLag:
    """The lag, or the last one that was measured while a busy database answers too late for a few seconds."""

    def __init__(self, events: EventsReader, clock: Callable[[], float]) -> None:
        self._events = events
        self._clock = clock
        self._last: Lag | None = None
        self._at = -math.inf

    async def read(self) -> Lag:
        """Return the lag; unknown where none was measured for `REMEMBERED_SECONDS`."""
        lag = await self._events.lag.read()
        if lag.backlog is not None:
            self._last, self._at = lag, self._clock()
        elif self._last is not None and self._clock() - self._at <= REMEMBERED_SECONDS:
            return self._last
        return lag


class RelayComponent:
    """The outbox: how many events wait, and for how long."""

    name = "relay"
    vital = False

    def __init__(self, events: EventsReader, retention: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lag = _RecentLag(events, clock)
        self._retention = retention

    async def probe(self) -> Mapping[str, Any]:
        """`degraded` once the oldest event has waited for `retention` seconds: no relay runs, or NATS is out."""
        lag = await self._lag.read()
        if lag.oldest_seconds is None:
            return {"status": "degraded", "error": NOT_MEASURED}
        figures: dict[str, Any] = {"backlog": lag.backlog, "oldest_seconds": round(lag.oldest_seconds, 3)}
        if lag.more:
            figures["at_least"] = True
        if lag.too_large:
            named = ", ".join(f"transaction {row.id} ({row.bytes:,} bytes)" for row in lag.too_large)
            error = f"larger than what NATS takes (max_payload), so set aside until that is raised: {named}"
            return {"status": "degraded", "error": error, **figures}
        if lag.oldest_seconds >= self._retention:
            why = "is `chronicle serve relay` running? Its /readyz says what keeps it from publishing"
            error = f"an event has waited for {lag.oldest_seconds:,.0f} s to be published: {why}"
            return {"status": "degraded", "error": error, **figures}
        return {"status": "ok", **figures}


class ReadModelComponent:
    """The read model: how far it is behind."""

    name = "read_model"
    vital = False

    def __init__(self, events: EventsReader, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lag = _RecentLag(events, clock)
        self._limit = limit

    async def probe(self) -> Mapping[str, Any]:
        """`degraded` past `limit` events, once the oldest has waited for too long, and where it is not known."""
        lag = await self._lag.read()
        if lag.backlog is None:
            return {"status": "degraded", "error": NOT_MEASURED}
        if lag.events is None or lag.seconds is None:
            why = "neither NATS nor a projector has been heard of yet, so how far it is behind is unknown"
            return {"status": "degraded", "error": why}
        figures: dict[str, Any] = {"lag_events": lag.events, "lag_seconds": round(lag.seconds, 3)}
        if lag.more:
            figures["at_least"] = True
        if lag.seconds > WAITS_SECONDS:
            why = lag.standstill or "is `chronicle serve relay` running, and `chronicle serve projector`?"
            error = f"an event has not been projected for {lag.seconds:,.0f} s: {why}"
            return {"status": "degraded", "error": error, **figures}
        return {"status": "ok" if lag.events <= self._limit else "degraded", **figures}
