"""Answers that do not end: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from chronicle_ledger.api.call import Answer, Receive, Send


@dataclass(frozen=True, slots=True)
class EventStream(Answer):
    """Sends `chunks` as they come, until they end or the caller goes away."""

    chunks: AsyncIterator[bytes] = field(kw_only=True)

    async def run(self, receive: Receive, send: Send) -> None:
        """Send head and chunks."""
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        sending = asyncio.create_task(self._send(send), name="event stream")
        leaving = asyncio.create_task(_gone(receive), name="event stream: caller")
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> Any:
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message
