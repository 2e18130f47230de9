"""Publishing with a window: many messages in flight, each acknowledged on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nats.js.api import PubAck
from nats.js.errors import NoStreamResponseError

from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.stream import subject
from chronicle_ledger.store.outbox import Pending

ACK_SECONDS = 5.0
"""How long an acknowledgement may take before the message is published again (JetStream then knows it)."""


@dataclass(slots=True)
class Published:
    """What became of a window. `duplicates` of the acknowledged ones were in the stream before."""

    acknowledged: list[Pending] = field(default_factory=list)
    duplicates: int = 0
    failed: int = 0
    reason: str = ""
    no_stream: bool = False


class Publisher(Protocol):
    """Puts events into the stream."""

    async def publish(self, rows: Sequence[Pending]) -> Published:
        """Publish `rows` and wait for what becomes of them. Raises BusUnavailable before anything is published."""


class JetStreamPublisher:
    """Publishes through one connection. A duplicate's acknowledgement counts: the message is in the stream."""

    def __init__(self, bus: Bus, ack_seconds: float = ACK_SECONDS, id_suffix: str = "") -> None:
        self._id_suffix = id_suffix
        self._bus = bus
        self._ack_seconds = ack_seconds
        self._contexts: tuple[Any, Any] | None = None

    def _jetstream(self) -> Any:
        client = self._bus.client
        # One context a client: each has an inbox of its own for acknowledgements.
        if self._contexts is None or self._contexts[0] is not client:
            self._contexts = (client, client.jetstream())
        return self._contexts[1]

    async def publish(self, rows: Sequence[Pending]) -> Published:
        """See Publisher. Ends early when the connection is lost; unacknowledged rows are published again later."""
        js = self._jetstream()
        result = Published()
        futures: dict[asyncio.Future[PubAck], Pending] = {}
        try:
            for row in rows:
                headers = {"Nats-Msg-Id": f"{row.id}{self._id_suffix}"}
                future = await js.publish_async(
                    subject(row.shard), row.payload.encode(), wait_stall=self._ack_seconds, headers=headers
                )
                futures[future] = row
        except Exception as error:  # noqa: BLE001 - what was published before is still waited for
            result.reason = str(error) or type(error).__name__
        await self._settle(futures, result)
        result.failed = len(rows) - len(result.acknowledged)
        return result

    async def _settle(self, futures: dict[asyncio.Future[PubAck], Pending], result: Published) -> None:
        lost = asyncio.create_task(self._bus.disconnection())
        try:
            # One wake-up for all acknowledgements: waking for each would cost more than the acknowledgement.
            everything = asyncio.gather(*futures, return_exceptions=True)
            ends: set[asyncio.Future[Any]] = {everything, lost}
            await asyncio.wait(ends, timeout=self._ack_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        for future, row in futures.items():
            if not future.done():
                future.cancel()
                result.reason = result.reason or "no acknowledgement in time"
            elif future.cancelled():
                result.reason = result.reason or "cancelled"
            elif (error := future.exception()) is not None:
                result.reason = str(error) or type(error).__name__
                result.no_stream = result.no_stream or isinstance(error, NoStreamResponseError)
            else:
                result.acknowledged.append(row)
                result.duplicates += bool(future.result().duplicate)
