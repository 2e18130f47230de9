"""The components of /health that belong to events. None is vital: postings need neither NATS nor the read model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chronicle_ledger.api.health import Component
from chronicle_ledger.events.reader import EventsReader
from chronicle_ledger.settings import Settings

PROBE_SECONDS = 1.0


def of_events(settings: Settings, events: EventsReader) -> list[Component]:
    """The components that `settings` call for: without NATS there is no stream, no relay and no read model."""
    if not settings.nats_urls:
        return []
    return [
        NatsComponent(settings.nats_urls),
        RelayComponent(events, settings.outbox_retention),
        ReadModelComponent(events, settings.lag_limit),
    ]


class NatsComponent:
    """Each NATS server: whether it accepts a connection and sends its INFO line, which a frozen process does not."""

    name = "nats"
    vital = False

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    async def probe(self) -> Mapping[str, Any]:
        """`ok` when all answer, `degraded` when some do, `down` when none does."""
        found = await asyncio.gather(*(_answers(url) for url in self._urls))
        servers = [
            {"url": _without_password(url), "status": "ok" if up else "down"}
            for url, up in zip(self._urls, found, strict=True)
        ]
        status = "ok" if all(found) else "degraded" if any(found) else "down"
        return {"status": status, "servers": servers}


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


class RelayComponent:
    """The outbox: how many events wait, and for how long."""

    name = "relay"
    vital = False

    def __init__(self, events: EventsReader, retention: float) -> None:
        self._events = events
        self._retention = retention

    async def probe(self) -> Mapping[str, Any]:
        """`degraded` once the oldest event has waited for `retention` seconds: no relay runs, or NATS is out."""
        lag = await self._events.lag.read()
        status = "ok" if lag.oldest_seconds < self._retention else "degraded"
        return {"status": status, "backlog": lag.backlog, "oldest_seconds": round(lag.oldest_seconds, 3)}


class ReadModelComponent:
    """The read model: how far it is behind."""

    name = "read_model"
    vital = False

    def __init__(self, events: EventsReader, limit: int) -> None:
        self._events = events
        self._limit = limit

    async def probe(self) -> Mapping[str, Any]:
        """`degraded` past `limit` events, and where nobody knows how many there are."""
        lag = await self._events.lag.read()
        if lag.events is None:
            why = "neither NATS nor a projector has been heard of yet, so how far it is behind is unknown"
            return {"status": "degraded", "error": why}
        status = "ok" if lag.events <= self._limit else "degraded"
        return {"status": status, "lag_events": lag.events, "lag_seconds": round(lag.seconds, 3)}
