"""Publishing with a window: many messages in flight, each acknowledged on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nats.js.api import PubAck
from nats.js.errors import APIError

from chronicle_ledger import logs
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.stream import STREAM, subject
from chronicle_ledger.store.outbox import Pending

log = logs.get(__name__)

ACK_SECONDS = 5.0
"""How long an acknowledgement may take before the message is published again (JetStream then knows it)."""

WHY_SECONDS = 1.0
"""How long JetStream may take to say why it acknowledges nothing."""

INSUFFICIENT_RESOURCES = 10023
"""JetStream's code for a server that has no room, or whose JetStream is off since it had none."""


@dataclass(slots=True)
class Published:
    """What became of a window. `duplicates` of the acknowledged ones were in the stream before. `refused`: JetStream
    itself has said the reason."""

    acknowledged: list[Pending] = field(default_factory=list)
    duplicates: int = 0
    failed: int = 0
    reason: str = ""
    refused: bool = False


class Publisher(Protocol):
    """Puts events into the stream."""

    async def publish(self, rows: Sequence[Pending]) -> Published:
        """Publish `rows` and wait for what becomes of them. Raises BusUnavailable before anything is published."""


class JetStreamPublisher:
    """Publishes through one connection. A duplicate's acknowledgement counts: the message is in the stream. That of any
    other stream is none."""

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
                    subject(row.shard), row.payload.encode(), wait_stall=self._ack_seconds, stream=STREAM,
                    headers=headers,
                )  # fmt: skip
                futures[future] = row
        except Exception as error:  # noqa: BLE001 - what was published before is still waited for
            result.reason = str(error) or type(error).__name__
        connected = await self._settle(futures, result)
        if rows and not result.acknowledged and connected:
            await self._ask_why(js, rows[0], result)
        result.failed = len(rows) - len(result.acknowledged)
        return result

    async def _ask_why(self, js: Any, row: Pending, result: Published) -> None:
        """Publish one of them in the way in which nats-py tells of a refusal; among many it drops what is no
        acknowledgement. Should it be taken now, it is published again later and known by its id."""
        try:
            await js.publish(
                subject(row.shard), row.payload.encode(), timeout=WHY_SECONDS, stream=STREAM,
                headers={"Nats-Msg-Id": f"{row.id}{self._id_suffix}"},
            )  # fmt: skip
        except APIError as error:
            result.refused = True
            result.reason = f"JetStream refuses events: {error.description or type(error).__name__}"
            if error.err_code == INSUFFICIENT_RESOURCES:
                result.reason += (
                    ". The disk of its server is full, or was: make room, then restart the server, since JetStream"
                    " stays off"
                )
        except Exception as error:  # noqa: BLE001 - the reason is the one that is known already
            log.debug("JetStream does not say why it acknowledges nothing", error=str(error) or type(error).__name__)

    async def _settle(self, futures: dict[asyncio.Future[PubAck], Pending], result: Published) -> bool:
        """Wait for acknowledgements; whether the connection has lasted."""
        lost = asyncio.create_task(self._bus.disconnection())
        try:
            # One wake-up for all acknowledgements: waking for each would cost more than the acknowledgement.
            everything = asyncio.gather(*futures, return_exceptions=True)
            ends: set[asyncio.Future[Any]] = {everything, lost}
            await asyncio.wait(ends, timeout=self._ack_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected = not lost.done()
            lost.cancel()
        for future, row in futures.items():
            if not future.done():
                future.cancel()
                result.reason = result.reason or "no acknowledgement in time"
            elif future.cancelled():
                result.reason = result.reason or "cancelled"
            elif (error := future.exception()) is not None:
                result.reason = str(error) or type(error).__name__
            elif (other := future.result().stream) != STREAM:
                result.reason = f"stream {other} took the message, not {STREAM}"
            else:
                result.acknowledged.append(row)
                result.duplicates += bool(future.result().duplicate)
        return connected
