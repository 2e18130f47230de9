"""A client's connection: requests are read whole, one after the other, and what comes back is written.

No coroutine runs for a request, and no header is read that decides nothing: the balancer shares the cores with all
that it is put in front of.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol, cast

import httptools

from chronicle_chaos.local.balancer.fields import HOP_BY_HOP, line
from chronicle_chaos.local.balancer.replica_side import Answer
from chronicle_chaos.local.retry_rules import KEY_HEADER, is_safe

BODY_LIMIT: Final = 4 << 20
"""More than the ledger takes (1 MiB), so that the ledger's own 413 reaches the client; in bytes."""
HEAD_LIMIT: Final = 64 << 10
"""More than the ledger takes, for the same reason; in bytes."""
PIPELINED: Final = 16
"""As many requests may wait behind the one that is being answered before no more are read."""
HEAD_SECONDS: Final = 10.0
CLIENT_SECONDS: Final = 60.0
"""A client may be silent so long, in the middle of a body or between two requests, or take nothing of its answer."""

LINGER_SECONDS: Final = 2.0
"""After a refusal, so long the rest of the request is read and thrown away."""

KEY: Final = KEY_HEADER.lower().encode()
ATTEMPTS: Final = b"Chronicle-Attempts: %d\r\n"
WITHOUT_BODY: Final = frozenset({204, 304})
REFUSALS: Final = {
    "malformed_request": (400, "This is not an HTTP request."),
    "head_timeout": (408, f"A request's head must be whole within {HEAD_SECONDS:g} seconds."),
    "body_too_large": (413, f"A body may have up to {BODY_LIMIT} bytes."),
    "headers_too_large": (431, f"A request's head may have up to {HEAD_LIMIT} bytes."),
}
"""What is refused before there is a request to send on; the ledger's own codes."""


@dataclass(slots=True)
class Request:
    """A whole request. `head` lacks the line of its length and the empty one; `refusal` is answered in its place."""

    method: bytes = b""
    path: bytes = b""
    head: bytes = b""
    body: bytes = b""
    framed: bool = False
    safe: bool = False
    named_host: bool = False
    keep_alive: bool = False
    chunks: bool = True
    refusal: str | None = None


class Exchange(Protocol):
    """What answers a request."""

    def abandon(self) -> None:
        """The client has gone."""

    def hold(self, *, on: bool) -> None:
        """The client takes its answer more slowly than it comes, or (`on` false) has caught up."""


class ClientConnection(asyncio.Protocol):
    """One connection. `serve` begins to answer a request; the answer comes by `reply`, or `begin`, `piece`, `end`."""

    def __init__(
        self, serve: Callable[[ClientConnection, Request], Exchange], connections: set[ClientConnection]
    ) -> None:
        self._serve = serve
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._exchange: Exchange | None = None
        self._request: Request | None = None
        self._waiting: deque[Request] = deque()
        self._last = False
        self._paused = False
        self._held_since: float | None = None
        self._in_head = False
        self._lingers = False
        self._silent = 0
        self._moved = False
        self._since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ask no replica any more for a client that has gone."""
        del exc
        self.gone.set_result(None)
        self._connections.discard(self)
        self._waiting.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def data_received(self, data: bytes) -> None:
        """Parse; each request that is whole by then is served, or waits for its turn."""
        if self._last:
            return
        self._moved = False
        if not self._in_head:
            self._since = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last = True  # served as if it asked for no other protocol; what follows is none of HTTP
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.code if isinstance(cause, _Refused) else "malformed_request")
        self._silent = 0 if self._moved else self._silent + len(data)
        if self._silent > HEAD_LIMIT and not self._last:
            self._refuse("headers_too_large")
        if self._exchange is None:
            self._next()
        if len(self._waiting) > PIPELINED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._target = b""
        self._lines: list[bytes] = []
        self._parts: list[bytes] = []
        self._length = 0
        self._keyed = self._framed = self._host = self._expects = False

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or, behind a body in chunks, a trailer, which ends here."""
        if not self._in_head:
            return
        low = name.lower()
        if low in HOP_BY_HOP:
            self._framed = self._framed or low == b"content-length" or low == b"transfer-encoding"
            return
        if low == b"expect":
            self._expects = True
            return
        if low == KEY:
            self._keyed = True
        elif low == b"host":
            self._host = True
        self._lines.append(line(name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head, self._moved = False, True
        method = self._parser.get_method()
        head = b"%b %b HTTP/1.1\r\n%b" % (method, self._target, b"".join(self._lines))
        if len(head) > HEAD_LIMIT:
            raise _Refused("headers_too_large")
        path = self._target.partition(b"?")[0]
        current = self._parser.get_http_version() == "1.1"
        self._request = Request(
            method, path, head,
            framed=self._framed,
            safe=is_safe(method.decode("ascii"), path.decode("latin-1"), keyed=self._keyed),
            named_host=self._host,
            keep_alive=current and self._parser.should_keep_alive(),
            chunks=current,
        )  # fmt: skip
        if self._expects and self._exchange is None and not self._waiting:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._moved = True
        self._length += len(body)
        if self._length > BODY_LIMIT:
            raise _Refused("body_too_large")
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._moved = True
        request, self._request = self._request, None
        if request is not None:
            request.body = b"".join(self._parts)
            self._waiting.append(request)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it comes."""
        self._held_since = self._loop.time()
        if self._exchange is not None:
            self._exchange.hold(on=True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._held_since = None
        if self._exchange is not None:
            self._exchange.hold(on=False)
        else:
            self._next()

    def reply(self, answer: Answer, attempts: int, request: Request) -> None:
        """Write a whole answer, and go on to the next request."""
        length = answer.length if request.method == b"HEAD" else b"%d" % len(answer.body)
        self._transport.write(
            b"HTTP/1.1 %d %b\r\n%b%b%b%b\r\n%b"
            % (
                answer.status, answer.reason, answer.fields,
                b"" if length is None or answer.status in WITHOUT_BODY else b"content-length: %b\r\n" % length,
                ATTEMPTS % attempts,
                b"" if self._keeps(request) else b"connection: close\r\n",
                b"" if request.method == b"HEAD" else answer.body,
            )
        )  # fmt: skip
        self._done(request)

    def begin(self, answer: Answer, attempts: int, request: Request) -> None:
        """Write the head of an answer that has no end of its own."""
        self._transport.write(
            b"HTTP/1.1 %d %b\r\n%b%b%b\r\n"
            % (
                answer.status, answer.reason, answer.fields, ATTEMPTS % attempts,
                b"transfer-encoding: chunked\r\n" if request.chunks else b"connection: close\r\n",
            )
        )  # fmt: skip

    def piece(self, data: bytes, request: Request) -> None:
        """Write a piece of it."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if request.chunks else data)

    def end(self, request: Request) -> None:
        """Write its end."""
        if request.chunks:
            self._transport.write(b"0\r\n\r\n")
        self._done(request)

    def break_off(self) -> None:
        """End an answer that has begun and cannot be ended well."""
        self._transport.abort()

    def drain(self) -> None:
        """Serve what is whole, and end."""
        self._last = True
        if self._exchange is None:
            self._next()

    def check(self, now: float) -> None:
        """End what has waited too long; asked about each second."""
        if self._held_since is not None and now - self._held_since > CLIENT_SECONDS:
            self._transport.abort()
        elif self._lingers:
            if now - self._since > LINGER_SECONDS:
                self._transport.abort()
        elif self._exchange is not None or self._last:
            return
        elif self._in_head:
            if now - self._since > HEAD_SECONDS:
                self._refuse("head_timeout")
                self._next()
        elif now - self._since > CLIENT_SECONDS:
            self._transport.close()

    def _keeps(self, request: Request) -> bool:
        return request.keep_alive and not (self._last and not self._waiting)

    def _done(self, request: Request) -> None:
        self._exchange = None
        self._since = self._loop.time()
        if not request.keep_alive:
            self._last = True
            self._waiting.clear()
        if self._waiting or self._last:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """Begin with the next request; close where there is none and none may come."""
        if self._exchange is not None or self._held_since is not None or self._transport.is_closing():
            return
        if self._paused and len(self._waiting) <= PIPELINED:
            self._paused = False
            self._transport.resume_reading()
        if self._waiting:
            request = self._waiting.popleft()
            if request.refusal is None:
                self._exchange = self._serve(self, request)
            else:
                status, detail = REFUSALS[request.refusal]
                self._lingers = True
                self.reply(problem(status, request.refusal, detail), 0, request)
        elif self._lingers:
            self._transport.write_eof()  # not closed: what the client still sends would reset the refusal on its way
        elif self._last:
            self._transport.close()

    def _refuse(self, code: str) -> None:
        self._last = True
        self._in_head = False
        self._waiting.append(Request(refusal=code))


class _Refused(Exception):
    """Ends the parser's work."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def problem(status: int, code: str, detail: str, fields: bytes = b"") -> Answer:
    """Return an answer of the balancer's own (RFC 9457), in the shape of the ledger's refusals."""
    phrase = HTTPStatus(status).phrase
    title = phrase.capitalize()
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    return Answer(
        status, phrase.encode(), b"content-type: application/problem+json\r\n" + fields, json.dumps(body).encode()
    )
