"""Connections that were open before a cut, to see that a cut is one for them as well (Toxiproxy issue 148)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from chronicle_chaos.injectors.injection import InjectionError
from chronicle_chaos.injectors.probes import LOOPBACK, SSL_REQUEST, Answer, came_of

STARTUP = bytes((0, 0, 0, 19, 0, 3, 0, 0)) + b"user\0root\0\0"
"""Opens a session as root (PostgreSQL documentation, 55.7); what is asked over a connection after `SSL_REQUEST`."""
SETTLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Protocol:
    """How to talk to a server without knowing more of it. `hello` is what a client says first (nothing: the server
    does), `question` what a server answers at any time after its first answer, if only by an error; without one
    no connection lasts."""

    hello: bytes
    question: bytes


COCKROACH = Protocol(SSL_REQUEST, STARTUP)
NATS_ROUTE = Protocol(b"", b"PING\r\n")
POSTGRES = COCKROACH
PATRONI = Protocol(b"GET /liveness HTTP/1.1\r\nHost: patroni\r\n\r\n", b"")
ETCD = Protocol(*[b"GET /version HTTP/1.1\r\nHost: etcd\r\n\r\n"] * 2)


@dataclass(slots=True)
class Held:
    """One connection, open and greeted."""

    subject: str
    question: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _answered: bool = False

    @classmethod
    async def open(cls, subject: str, port: int, protocol: Protocol, *, seconds: float = 5.0) -> Self:
        """Connect and be answered once. Raises InjectionError where that fails."""
        writer = None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.write(protocol.hello)
                if await reader.read(1 << 16):
                    return cls(subject, protocol.question, reader, writer)
                raise ConnectionResetError("it hung up")
        except (OSError, TimeoutError) as error:
            if writer is not None:
                writer.transport.abort()
            raise InjectionError(
                f"{subject}: no connection before the cut ({came_of(error)})", next_step="start `chronicle up` anew"
            ) from error

    async def settle(self) -> None:
        """Take what came before the cut off the line; it is no answer to what is asked afterwards."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while await self.reader.read(1 << 16):
                    pass

    async def ask(self, seconds: float) -> Answer:
        """What comes of the question now. One answer after the cut is held against it for good."""
        if self._answered:
            return Answer.YES
        try:
            async with asyncio.timeout(seconds):
                self.writer.write(self.question)
                await self.writer.drain()
                self._answered = bool(await self.reader.read(1))
        except (OSError, TimeoutError) as error:
            return came_of(error)
        return Answer.YES if self._answered else Answer.CLOSED

    def close(self) -> None:
        """Let go of it."""
        self.writer.transport.abort()
