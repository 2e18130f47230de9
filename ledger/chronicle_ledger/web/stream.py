"""Answers that do not end: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from chronicle_ledger import metrics
from chronicle_ledger.web.call import Answer, Receive, Send
from chronicle_ledger.web.problems import Problem

STREAMS = 32
STREAMS_OF_ONE = 8
"""How many streams a process serves at once, and how many of them one key may have. Each may hold some 2 MiB."""


class Streams:
    """The streams that are open, counted by who reads them."""

    def __init__(self, total: int = STREAMS, each: int = STREAMS_OF_ONE) -> None:
        self._total = total
        self._each = each
        self._open: Counter[str] = Counter()

    def take(self, name: str, *, shared: bool = False) -> Callable[[], None]:
        """Count one more of `name`, and return what gives it back. Raises Problem `too_many_streams`.

        A `shared` name stands for everybody, so that no bound of its own makes sense.
        """
        if self._open.total() >= self._total:
            raise _too_many(f"This instance serves {self._total} streams at once", self._total)
        if not shared and self._open[name] >= self._each:
            raise _too_many(f"A key may have {self._each} streams of one instance at once", self._each)
        self._open[name] += 1
        metrics.EVENT_STREAMS.inc()
        return lambda: self._give_back(name)

    def _give_back(self, name: str) -> None:
        metrics.EVENT_STREAMS.dec()
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]


def _too_many(why: str, limit: int) -> Problem:
    return Problem("too_many_streams", f"{why}; end one, or try another instance.", limit=limit)


@dataclass(frozen=True, slots=True)
class EventStream(Answer):
    """Sends `chunks` as they come, until they end or the caller goes away; then calls `ended`."""

    chunks: AsyncGenerator[bytes] = field(kw_only=True)
    ended: Callable[[], None] = field(kw_only=True)

    async def run(self, receive: Receive, send: Send, *, head_only: bool = False) -> None:
        """Send head and chunks; for HEAD the head alone."""
        with contextlib.ExitStack() as afterwards:
            afterwards.callback(self.ended)
            headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
            headers += [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            if head_only:
                await self.chunks.aclose()
                await send({"type": "http.response.body", "body": b""})
                return
            sending = asyncio.create_task(self._send(send), name="event stream")
            leaving = asyncio.create_task(_gone(receive), name="event stream: caller")
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with contextlib.aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> Any:
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message
