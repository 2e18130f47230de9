"""Connections to a replica: kept, and used again; an answer is handed over when it is whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import httptools

from chronicle_chaos.local.balancer.fields import HOP_BY_HOP, line

CONNECT_TIMEOUT_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 4.0
"""Shorter than a replica keeps an idle connection, so that it is the balancer that closes."""


@dataclass(slots=True)
class Answer:
    """What a replica said. `fields` are the lines of its headers, `length` is the one that it claimed."""

    status: int
    reason: bytes
    fields: bytes
    body: bytes = b""
    length: bytes | None = None


class Asker(Protocol):
    """Who waits for an answer. After `answered`, `ended`, `unreachable` or `broken` nothing more comes."""

    def sent(self, connection: ReplicaConnection) -> bool:
        """The request is about to be written; False: it is not wanted any more."""

    def answered(self, answer: Answer) -> None:
        """The answer is whole."""

    def begun(self, answer: Answer) -> None:
        """An event stream has begun; `piece` brings it, `ended` ends it."""

    def piece(self, data: bytes) -> None:
        """A piece of the stream."""

    def ended(self) -> None:
        """The stream has ended."""

    def unreachable(self, reason: str) -> None:
        """No connection was made; the replica has seen nothing."""

    def broken(self) -> None:
        """The connection broke before the answer was whole."""


class Replica:
    """One API instance. `ready` is what its last health check, or the last broken connection, said."""

    def __init__(self, url: str, *, ready: bool = False) -> None:
        self.url = url.rstrip("/")
        self.ready = ready
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.host_line = b"Host: " + parts.netloc.encode() + b"\r\n"
        self.idle: list[ReplicaConnection] = []
        self.open: set[ReplicaConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def ask(self, asker: Asker, message: bytes, *, head: bool) -> None:
        """Send a request on a connection that is kept, or on a new one. `head`: its answer has no body."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open:
                connection.ask(asker, message, head=head)
                return
        task = asyncio.get_running_loop().create_task(self._connect(asker, message, head=head))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, asker: Asker, message: bytes, *, head: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                _, connection = await loop.create_connection(lambda: ReplicaConnection(self), self.host, self.port)
        except TimeoutError:
            asker.unreachable(f"no connection within {CONNECT_TIMEOUT_SECONDS:g} s")
        except OSError as error:
            asker.unreachable(str(error))
        else:
            if connection.is_open:
                connection.ask(asker, message, head=head)
            else:
                asker.unreachable("the connection was closed at once")

    def tidy(self, now: float) -> None:
        """Close what has been idle for long; the oldest come first."""
        while self.idle and now - self.idle[0].idle_since > KEPT_SECONDS:
            self.idle.pop(0).close()

    def close(self) -> None:
        """Close every connection."""
        for task in self._connecting:
            task.cancel()
        for connection in list(self.open):
            connection.close()


class ReplicaConnection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        self._asker: Asker | None = None
        self._head = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._reason = b""
        self._lines: list[bytes] = []
        self._parts: list[bytes] = []
        self._length: bytes | None = None
        self._framed = self._whole = self._spoiled = self._in_body = False
        self._keeps = self._event_stream = self._stream = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The replica has taken the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._replica.open.add(self)

    @property
    def is_open(self) -> bool:
        """Whether it can carry a request."""
        return not self._transport.is_closing()

    def ask(self, asker: Asker, message: bytes, *, head: bool) -> None:
        """Send a request, if it is still wanted."""
        if asker.sent(self):
            self._asker, self._head = asker, head
            self._transport.write(message)
        else:
            self._keep()

    def hold(self, *, on: bool) -> None:
        """Read no more for now, or go on."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if on else self._transport.resume_reading)()

    def close(self) -> None:
        """End the connection; who waits for it hears nothing more."""
        self._asker = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse the answer."""
        if self._asker is None:  # an answer that was not asked for: whose is it?
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail()
            return
        if self._whole:
            self._finish(keep=self._keeps and not self._spoiled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Where the end of the connection is the end of the answer, it is whole; otherwise it broke off."""
        self._replica.open.discard(self)
        if self in self._replica.idle:
            self._replica.idle.remove(self)
        if self._asker is None:
            return
        if exc is None and self._in_body and not self._framed:
            self._finish(keep=False)
        else:
            self._fail()

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request spoils the connection."""
        self._spoiled = self._whole

    def on_status(self, status: bytes) -> None:
        """A piece of the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if self._in_body or self._whole:
            return  # a trailer
        low = name.lower()
        if low in HOP_BY_HOP:
            if low == b"content-length":
                self._length, self._framed = value, True
            elif low == b"transfer-encoding":
                self._framed = True
            return
        if low == b"content-type" and value.startswith(b"text/event-stream"):
            self._event_stream = True
        self._lines.append(line(name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._whole:
            return
        status = self._parser.get_status_code()
        if status < 200:
            return
        self._answer = Answer(status, self._reason, b"".join(self._lines), length=self._length)
        self._in_body, self._keeps = True, self._parser.should_keep_alive()
        if self._head:
            self._whole = True
        elif self._event_stream and self._asker is not None:
            self._stream = True
            self._asker.begun(self._answer)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._stream:
            self._parts.append(body)
        elif self._asker is not None:
            self._asker.piece(body)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it only says that another follows."""
        if self._in_body:
            self._whole = True
        elif not self._whole:
            self._begin()

    def _finish(self, *, keep: bool) -> None:
        asker, self._asker = self._asker, None
        answer, stream = self._answer, self._stream
        answer.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if self._head:  # the parser waits for the body that GET would have had
            self._parser = httptools.HttpResponseParser(self)
        self._begin()
        if keep and not self._transport.is_closing():
            self._keep()
        else:
            self._transport.close()
        if asker is not None:
            if stream:
                asker.ended()
            else:
                asker.answered(answer)

    def _keep(self) -> None:
        self.idle_since = self._loop.time()
        self._replica.idle.append(self)

    def _fail(self) -> None:
        asker, self._asker = self._asker, None
        self._transport.abort()
        if asker is not None:
            asker.broken()
