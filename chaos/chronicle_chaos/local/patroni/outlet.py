"""A SOCKS5 server (RFC 1928) that leads some ports of this machine elsewhere: how a program that knows one address for
each peer is made to reach some of them through a proxy."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress

from chronicle_chaos.local.ports import LOOPBACK

CHUNK = 1 << 16
VERSION = 5
CONNECT = 1
IPV4, NAME = 1, 3
REFUSED = bytes((VERSION, 5, 0, IPV4)) + bytes(6)
UNSUPPORTED = bytes((VERSION, 7, 0, IPV4)) + bytes(6)


class Outlet:
    """Listens on a loopback port; whatever host is asked for is this machine. `routes` maps a port that is asked for to
    the port that it is led to; ports that it does not name are refused."""

    def __init__(self, port: int, routes: Mapping[int, int]) -> None:
        self.port = port
        self._routes = dict(routes)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            port = await self._asked(reader, writer)
            if port is None:
                return
            upstream_reader, upstream = await asyncio.open_connection(LOOPBACK, port)
            self._writers.add(upstream)
            writer.write(bytes((VERSION, 0, 0, IPV4, 127, 0, 0, 1)) + struct.pack("!H", port))
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, upstream))
                group.create_task(_pump(upstream_reader, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, upstream):
                if end is not None:
                    self._writers.discard(end)
                    end.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        """Return the port that a request leads to; None: it was refused."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(bytes((VERSION, 0)))
        _, command, _, kind = await reader.readexactly(4)
        if command != CONNECT or kind not in {IPV4, NAME}:
            writer.write(UNSUPPORTED)
            await writer.drain()
            return None
        await reader.readexactly(4 if kind == IPV4 else (await reader.readexactly(1))[0])
        (asked,) = struct.unpack("!H", await reader.readexactly(2))
        if asked not in self._routes:
            writer.write(REFUSED)
            await writer.drain()
        return self._routes.get(asked)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()
