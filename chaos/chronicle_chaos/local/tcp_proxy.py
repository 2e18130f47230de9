"""TCP proxies between regions: what a partition cuts.

Semantics follow Toxiproxy's, with one difference: a mode applies to connections that are open already, too. Bytes that
a black hole swallowed are missing from their streams for good, so healing closes the connections that lost any
(Toxiproxy issue 168 shows what happens otherwise).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum

from chronicle_chaos.local.ports import LOOPBACK

CHUNK = 1 << 16


class Mode(StrEnum):
    """What a proxy does with connections and bytes."""

    PASS = "pass"  # noqa: S105 - a mode, not a secret
    BLACKHOLE = "blackhole"
    """Connections stay, and are accepted; no byte passes."""
    REFUSE = "refuse"
    """Connections are closed, and new ones refused: nobody listens."""
    RESET = "reset"
    """Connections are reset, and new ones reset after being accepted."""


class _Link:
    """One connection through a proxy: two sockets and two pumps."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.writers = [client]
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    def abort(self, *, reset: bool = False) -> None:
        for writer in self.writers:
            _abort(writer, reset=reset)


def _abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close at once; `reset`: with RST rather than FIN, which a socket sends that must not linger (socket(7))."""
    handle = writer.get_extra_info("socket")
    if reset and handle is not None and handle.fileno() != -1:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class TcpProxy:
    """Listens on a loopback port and forwards to another, in the mode that it is set to."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self.upstream = upstream
        self.mode = Mode.PASS
        self._open = asyncio.Event()
        self._open.set()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Close everything."""
        await self._stop_listening()
        links = list(self._links)
        for link in links:
            link.abort()
        # Whoever waits in a black hole finds its client gone, and ends. No task is cancelled: asyncio.streams would
        # report each as an error of its callback (CPython issue 113538).
        self._open.set()
        await asyncio.gather(*(link.task for link in links if link.task), return_exceptions=True)

    async def set_mode(self, mode: Mode) -> None:
        """Change what happens, to open connections as well."""
        self.mode = mode
        if mode is Mode.BLACKHOLE:
            self._open.clear()
        else:
            self._open.set()
        for link in list(self._links):
            if mode in {Mode.REFUSE, Mode.RESET} or link.lost:
                link.abort(reset=mode is Mode.RESET)
        if mode is Mode.REFUSE:
            await self._stop_listening()
        elif self._server is None:
            await self.start()

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.RESET:
            _abort(writer, reset=True)
            return
        link = _Link(writer)
        link.task = asyncio.current_task()
        self._links.add(link)
        try:
            await self._open.wait()
            if writer.is_closing():
                return
            upstream_reader, upstream = await asyncio.open_connection(LOOPBACK, self.upstream)
            link.writers.append(upstream)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(link, reader, upstream))
                group.create_task(self._pump(link, upstream_reader, writer))
        except* OSError:
            pass
        finally:
            link.abort()
            self._links.discard(link)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self.mode is Mode.BLACKHOLE:
                    link.lost = True
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            if self.mode is not Mode.BLACKHOLE:
                raise
        if self.mode is Mode.BLACKHOLE:
            # The end of a stream, in order or not, is swallowed as bytes are; the other side would wait for it for ever
            # after healing.
            link.lost = True
            return
        # One side said that it has nothing more to say; the other may still have.
        with suppress(OSError, RuntimeError):
            writer.write_eof()
