"""Pulling from a JetStream consumer: one request is always ahead, so that messages come as soon as they are there.

nats-py's own `fetch` waits for a whole batch or its time-out; a projector wants what there is, now.
Protocol: NATS ADR-37 (pull consumers), request fields `batch`, `max_bytes` and `expires` (nanoseconds).
"""

from __future__ import annotations

import json
import time
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

REQUEST_SECONDS = 5.0
"""How long the server keeps a request open when there are no messages."""

MAX_BYTES = 8 << 20
"""Bytes of one request and of one batch: an event may be a thousand times as large as another. Each message of our
streams is smaller, so each comes."""

NO_MESSAGES, REQUEST_TIMEOUT, CONFLICT, NO_RESPONDERS = "404", "408", "409", "503"


class ConsumerGone(Exception):
    """The consumer or its stream does not exist (any more), or nobody answers for it."""


class Puller:
    """Takes messages of one consumer. `batch` and `max_bytes` bound what is asked for at once.

    Without `ahead` the next request waits until the one before has brought its last message, so that no more than
    `max_bytes` are ever kept for a reader that is slow.
    """

    def __init__(
        self, client: Client, stream: str, consumer: str, batch: int, max_bytes: int = MAX_BYTES, *, ahead: bool = True
    ) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._max_bytes = max_bytes
        self._left = batch // 2 if ahead else 0
        self._inbox = client.new_inbox()
        self._subscription: Any = None
        self._outstanding = 0
        self._expires = 0.0
        self._reconnects = 0

    async def open(self) -> None:
        """Subscribe to the inbox that messages will come to."""
        self._subscription = await self._client.subscribe(self._inbox)

    async def _request(self) -> None:
        if self._lost():
            self._outstanding = 0
        if self._outstanding > self._left:
            return
        request = {"batch": self._batch, "max_bytes": self._max_bytes, "expires": int(REQUEST_SECONDS * 1e9)}
        await self._client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
        self._outstanding = self._batch + max(0, self._outstanding)
        self._expires = time.monotonic() + REQUEST_SECONDS

    def _lost(self) -> bool:
        """Whether nothing will answer what was asked for: it was sent over another connection, or it has run out (the
        server that had it may be gone). Counted on, it would hold up each following request until that runs out too."""
        reconnects = self._client.stats["reconnects"]
        renewed, self._reconnects = reconnects != self._reconnects, reconnects
        return renewed or time.monotonic() >= self._expires

    async def next(self, seconds: float) -> list[Msg]:
        """What there is, up to a batch; waits `seconds` for a first message. Raises ConsumerGone."""
        await self._request()
        messages: list[Msg] = []
        deadline = time.monotonic() + seconds
        while not messages:
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            try:
                message = await self._subscription.next_msg(timeout=left)
            except (TimeoutError, NatsTimeoutError):
                return []
            if self._is_message(message):
                messages.append(message)
            elif self._outstanding <= 0:
                await self._request()
        size = len(messages[0].data)
        while len(messages) < self._batch and size < self._max_bytes and self._subscription.pending_msgs > 0:
            message = await self._subscription.next_msg(timeout=1.0)
            if self._is_message(message):
                messages.append(message)
                size += len(message.data)
        self._outstanding -= len(messages)
        return messages

    def _is_message(self, message: Msg) -> bool:
        status = (message.headers or {}).get("Status") if message.headers and not message.data else None
        if status is None:
            return True
        text = (message.headers or {}).get("Description", "").lower()
        if status == NO_RESPONDERS or (status == CONFLICT and "deleted" in text):
            self._outstanding = 0
            raise ConsumerGone(text or "nobody answers for the consumer")
        if status in (NO_MESSAGES, REQUEST_TIMEOUT, CONFLICT):
            self._outstanding = 0
        return False

    async def close(self) -> None:
        """Stop listening; requests that are open run out by themselves."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
