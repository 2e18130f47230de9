"""HTTP/1.1 as uvicorn speaks it, with bounds on all that comes before a request: who sends it has shown no key yet.

A request's head has `HEAD_BYTES` and `HEADERS` at most, its URL `URL_BYTES`. A head that is not whole `HEAD_SECONDS`
after it began (or after the connection was made) ends the connection. So does the rest of a body whose request was
answered before it had arrived, and an answer that nobody takes.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 32 << 10
URL_BYTES: Final = 16 << 10
HEADERS: Final = 100
HEAD_SECONDS: Final = 10.0

PIPELINED: Final = 16
"""How many requests may wait behind one that is being answered; each costs some kilobytes before it is looked at."""

STALLED_SECONDS: Final = 20.0
"""A connection that has taken nothing of its answer for so long is ended: what it does not take is kept in memory."""

REFUSALS: Final = {
    "headers_too_large": (
        431,
        "Headers too large",
        f"A request may have {HEADERS} headers of {HEAD_BYTES} bytes in all.",
    ),
    "url_too_long": (414, "URL too long", f"A URL may have up to {URL_BYTES} bytes."),
    "head_timeout": (408, "Head not complete", f"A request's head must be whole within {HEAD_SECONDS:g} seconds."),
    "malformed_request": (400, "Malformed request", "This is not an HTTP request."),
    "too_many_connections": (503, "Too many connections", "This instance has no room for another connection."),
}
"""What is refused before there is a request: status, title, detail. Each code is in the catalogue of problems."""


class _Refused(Exception):
    """Ends the parser's work on a request that was refused."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `connections` is how many there may be at once."""

    connections_limit = 4096

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; where there are too many connections, end one that waits for nothing else."""
        super().connection_made(transport)
        self._refusal = "malformed_request"
        self._in_head = True
        self._moved = False
        self._silent = 0
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._expect_head()
        if len(self.connections) > self.connections_limit:
            idle = next((it for it in self.connections if it is not self and _is_idle(it)), None)
            if idle is None:
                self._refuse("too_many_connections")
            else:
                idle.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what moves nothing: a head that goes on and on, a trailer, a chunk's extension."""
        if self.transport.is_closing():
            return
        self._moved = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._silent = 0 if self._moved else self._silent + len(data)
        if self._silent > HEAD_BYTES:
            self._refuse("headers_too_large")
        elif self._in_head or (_is_idle(self) and self.timeout_keep_alive_task is None):
            self._expect_head()  # bytes between two requests have ended uvicorn's own waiting

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser, or a bound, has refused."""
        del msg
        self._refuse(self._refusal)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = self._moved = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the URL."""
        super().on_url(url)
        self._head_bytes += len(url)
        if len(self.url) > URL_BYTES:
            self._refusal = "url_too_long"
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or, behind a body in chunks, a trailer."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + 4  # the colon, a blank, the end of the line
        if self._head_bytes > HEAD_BYTES or len(self.headers) > HEADERS:
            self._refusal = "headers_too_large"
            raise _Refused

    def on_headers_complete(self) -> None:
        """The head is whole; the request begins to be answered."""
        self._in_head, self._moved = False, True
        self._stop_waiting()
        if len(self.pipeline) >= PIPELINED:
            raise _Refused
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._moved = True
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent; the rest of a body that nobody reads must end soon."""
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            self._expect_head()

    def pause_writing(self) -> None:
        """The caller takes its answer more slowly than it is made."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The caller has caught up."""
        self._stop_watching()
        super().resume_writing()

    def _watch(self, waiting: int) -> None:
        self._stalled = self.loop.call_later(STALLED_SECONDS, self._end_stalled, waiting)

    def _stop_watching(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _end_stalled(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting >= before:
            self.transport.abort()
        else:
            self._watch(waiting)

    def _expect_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._end_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end_late(self) -> None:
        self._late = None
        if self._in_head and self._head_bytes + self._silent > 0:
            self._refuse("head_timeout")
        else:
            self.transport.close()

    def _refuse(self, code: str) -> None:
        """Answer with a problem, unless another answer is under way, and close."""
        if self.transport.is_closing():
            return
        if _is_idle(self):
            self.transport.write(_problem(code))
        self.transport.close()


def _is_idle(connection: Any) -> bool:
    """Whether no request is being answered; uvicorn's types do not say that the first is not there yet."""
    return connection.cycle is None or connection.cycle.response_complete


def document(code: str, instance: str) -> dict[str, Any]:
    """Return the problem document of a refusal."""
    status, title, detail = REFUSALS[code]
    kind = f"urn:chronicle-ledger:problem:{code}"
    return {"type": kind, "title": title, "status": status, "detail": detail, "code": code, "instance": instance}


def _problem(code: str) -> bytes:
    instance = uuid4().hex
    body = json.dumps(document(code, instance)).encode()
    status = HTTPStatus(REFUSALS[code][0])
    headers = ["content-type: application/problem+json", "cache-control: no-store", f"x-request-id: {instance}"]
    headers.append("connection: close")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append("retry-after: 1")
    head = [f"HTTP/1.1 {status.value} {status.phrase}", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body
