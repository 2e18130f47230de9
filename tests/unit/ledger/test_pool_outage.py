"""What becomes of a pool in an outage that is longer than its clients' patience, and of what they wait for."""

from __future__ import annotations

import asyncio
import struct

import psycopg_pool
import pytest

from chronicle_chaos.local.ports import free_port
from chronicle_ledger.store.pool import SeveredConnection, open_pool


async def test_requests_that_gave_up_in_an_outage_are_not_counted_as_waiting() -> None:
    """Else every later one is refused, and none makes the pool connect again once the database is back."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    database = await open_pool(url, size=1, wait=0.05, max_waiting=2)
    try:
        for _ in range(4):
            with pytest.raises(psycopg_pool.PoolTimeout):
                async with database.raw_connection(0.05):
                    pytest.fail("there is no database")
    finally:
        await database.close()


async def test_a_statement_whose_task_is_cancelled_has_its_socket_cut_and_is_not_cancelled() -> None:
    """A server that is asked to cancel a commit which waits for the standby acknowledges it, on its own disk alone."""
    connections = 0
    cut = asyncio.Event()
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readexactly(struct.unpack("!I", await reader.readexactly(4))[0] - 4)
        writer.write(b"R" + struct.pack("!II", 8, 0) + b"K" + struct.pack("!III", 12, 1, 1))
        writer.write(b"Z" + struct.pack("!I", 5) + b"I")
        while await reader.read(100):
            asked.set()
        cut.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable"
        connection = await SeveredConnection.connect(url, autocommit=True)
        waiting = asyncio.create_task(connection.execute("COMMIT"))
        async with asyncio.timeout(30):
            await asked.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
            await cut.wait()
        await connection.close()
    assert waiting.cancelled()
    assert connections == 1
