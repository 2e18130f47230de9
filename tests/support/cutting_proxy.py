"""A proxy that speaks enough of PostgreSQL's protocol to cut a connection between two messages.

Message formats: PostgreSQL documentation, "Frontend/Backend Protocol": a start-up message has a length first, every
other message a type byte and then its length (which counts itself).
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Forwards to a server, and cuts the connection that carries the message it is armed for.

    `arm(n, to_server=True)` counts the client's messages: the n-th is not forwarded, and both sides are cut.
    `to_server=False` counts the server's: the server has acted, and the client does not hear of it.
    """

    def __init__(self, *, host: str | None = None, port: int = 0, unix_path: str | None = None) -> None:
        self._host, self._port, self._unix_path = host, port, unix_path
        self._server: asyncio.Server | None = None
        self._countdown: int | None = None
        self._to_server = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def arm(self, message: int, *, to_server: bool) -> None:
        """Cut at the `message`-th message from now on, counted from 1."""
        self._countdown, self._to_server = message, to_server

    def disarm(self) -> bool:
        """Stop counting; whether a connection was cut since it was armed."""
        cut = self._countdown is None
        self._countdown = None
        return cut

    def freeze(self) -> None:
        """Let nothing through, and say nothing: what a partition looks like."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again, also what was held back."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._unix_path is not None:
            upstream = await asyncio.open_unix_connection(self._unix_path)
        else:
            upstream = await asyncio.open_connection(self._host, self._port)
        writers = (writer, upstream[1])
        self._writers += writers
        for source, target, to_server in ((reader, upstream[1], True), (upstream[0], writer, False)):
            task = asyncio.create_task(self._pump(source, target, writers, to_server=to_server))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        writers: tuple[asyncio.StreamWriter, ...],
        *,
        to_server: bool,
    ) -> None:
        started = not to_server
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = await source.readexactly(1) if started else b""
                length = await source.readexactly(4)
                body = await source.readexactly(int.from_bytes(length, "big") - 4)
                started = True
                if self._cut(to_server=to_server):
                    break
                await self._flowing.wait()
                target.write(kind + length + body)
                await target.drain()
        for writer in writers:
            writer.transport.abort()

    def _cut(self, *, to_server: bool) -> bool:
        if self._countdown is None or to_server is not self._to_server:
            return False
        self._countdown -= 1
        if self._countdown:
            return False
        self._countdown = None
        return True
