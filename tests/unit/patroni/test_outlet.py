"""The SOCKS server by which a program reaches its peers through proxies."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chronicle_chaos.local.patroni.outlet import Outlet
from chronicle_chaos.local.ports import LOOPBACK, free_port

GREETING = b"\x05\x01\x00"


@asynccontextmanager
async def an_outlet() -> AsyncIterator[tuple[int, int]]:
    """Give the outlet's port, and a port that it leads to a server which says everything twice."""

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data * 2)
        writer.close()

    asked = free_port()
    async with await asyncio.start_server(twice, LOOPBACK, 0) as server:
        outlet = Outlet(free_port(), {asked: server.sockets[0].getsockname()[1]})
        await outlet.start()
        try:
            yield outlet.port, asked
        finally:
            await outlet.stop()


async def _ask(port: int, *, command: int = 1, address: bytes = b"\x01\x00\x00\x00\x00", to: int) -> tuple[int, bytes]:
    """Return the reply's code, and what comes of `ab`."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(10):
        writer.write(GREETING)
        assert await reader.readexactly(2) == b"\x05\x00"
        writer.write(bytes((5, command, 0)) + address + struct.pack("!H", to))
        reply = await reader.readexactly(10)
        if reply[1] == 0:
            writer.write(b"ab")
            writer.write_eof()
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply[1], said


async def test_a_port_leads_to_another_whatever_the_host_is_called() -> None:
    async with an_outlet() as (port, asked):
        assert await _ask(port, to=asked) == (0, b"abab")
        assert await _ask(port, address=b"\x03\x06etcd-1", to=asked) == (0, b"abab")


async def test_a_port_that_leads_nowhere_is_refused() -> None:
    async with an_outlet() as (port, asked):
        assert await _ask(port, to=asked + 1 if asked < 65_535 else 1) == (5, b"")


async def test_what_is_no_connection_is_refused() -> None:
    async with an_outlet() as (port, asked):
        assert await _ask(port, command=2, to=asked) == (7, b"")
