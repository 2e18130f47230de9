"""A proxy between two regions cuts what is open already, and never hands on a stream with a hole in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from chronicle_chaos.local.ports import LOOPBACK, free_port
from chronicle_chaos.local.tcp_proxy import Mode, TcpProxy

SILENCE_SECONDS = 0.3


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """A proxy before a server that sends back what it gets."""
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    made = TcpProxy(free_port(), server.sockets[0].getsockname()[1])
    await made.start()
    yield made
    await made.stop()
    server.close()


async def _ask(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], word: bytes) -> bytes:
    """What comes back; b"" when the connection ended. Raises TimeoutError when nothing comes."""
    reader, writer = streams
    writer.write(word)
    async with asyncio.timeout(SILENCE_SECONDS):
        return await reader.read(100)


async def _connect(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, proxy.port)


async def test_bytes_pass_both_ways(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    assert await _ask(streams, b"hello") == b"hello"
    streams[1].close()


async def test_a_black_hole_swallows_the_bytes_of_a_connection_that_was_open_before(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    assert await _ask(streams, b"before") == b"before"
    await proxy.set_mode(Mode.BLACKHOLE)
    with pytest.raises(TimeoutError):
        await _ask(streams, b"into the hole")
    streams[1].close()


async def test_healing_closes_a_connection_that_lost_bytes(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    await proxy.set_mode(Mode.BLACKHOLE)
    with pytest.raises(TimeoutError):
        await _ask(streams, b"lost")
    await proxy.set_mode(Mode.PASS)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await streams[0].readexactly(1)
    streams[1].close()


async def test_healing_keeps_a_connection_that_lost_nothing(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    assert await _ask(streams, b"before") == b"before"
    await proxy.set_mode(Mode.BLACKHOLE)
    await proxy.set_mode(Mode.PASS)
    assert await _ask(streams, b"after") == b"after"
    streams[1].close()


async def test_healing_ends_a_connection_whose_end_was_swallowed() -> None:
    """Without that, the server would keep a connection whose client left during the cut."""
    ended = asyncio.Event()

    async def wait_for_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        with suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(wait_for_end, LOOPBACK, 0)
    proxy = TcpProxy(free_port(), server.sockets[0].getsockname()[1])
    await proxy.start()
    reader, writer = await _connect(proxy)
    assert await reader.readexactly(4) == b"here"
    await proxy.set_mode(Mode.BLACKHOLE)
    writer.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_SECONDS):
            await ended.wait()
    await proxy.set_mode(Mode.PASS)
    async with asyncio.timeout(5):
        await ended.wait()
    await proxy.stop()
    server.close()


async def test_a_proxy_ends_at_once_although_somebody_waits_in_its_black_hole(proxy: TcpProxy) -> None:
    await proxy.set_mode(Mode.BLACKHOLE)
    streams = await _connect(proxy)
    with pytest.raises(TimeoutError):
        await _ask(streams, b"held")
    async with asyncio.timeout(2):
        await proxy.stop()
    streams[1].close()


async def test_a_connection_made_into_a_black_hole_is_served_once_it_is_healed(proxy: TcpProxy) -> None:
    await proxy.set_mode(Mode.BLACKHOLE)
    streams = await _connect(proxy)
    with pytest.raises(TimeoutError):
        await _ask(streams, b"held")
    await proxy.set_mode(Mode.PASS)
    async with asyncio.timeout(2):
        assert await streams[0].read(100) == b"held"
    streams[1].close()


async def test_refusing_closes_what_is_open_and_lets_nobody_in(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    assert await _ask(streams, b"before") == b"before"
    await proxy.set_mode(Mode.REFUSE)
    with pytest.raises(ConnectionError):
        await _connect(proxy)
    await proxy.set_mode(Mode.PASS)
    again = await _connect(proxy)
    assert await _ask(again, b"again") == b"again"
    for _, writer in (streams, again):
        writer.close()


async def test_resetting_ends_open_and_new_connections_with_an_error(proxy: TcpProxy) -> None:
    streams = await _connect(proxy)
    assert await _ask(streams, b"before") == b"before"
    await proxy.set_mode(Mode.RESET)
    with pytest.raises(ConnectionResetError):
        await streams[0].readexactly(1)
    fresh = await _connect(proxy)
    with pytest.raises(ConnectionResetError):
        await fresh[0].readexactly(1)
    for _, writer in (streams, fresh):
        writer.close()
