"""Small questions to servers, asked the same way wherever they run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import aiohttp

LOOPBACK = "127.0.0.1"
SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""The eight bytes to which every PostgreSQL-speaking server answers one (PostgreSQL documentation, 55.7)."""

# 20.1 and current releases alike; ranges without a live leaseholder name none.
LEASES = "SELECT lease_holder, count(*) FROM crdb_internal.ranges GROUP BY 1 ORDER BY 2 DESC LIMIT 1"


class Answer(StrEnum):
    """What came of a probe."""

    YES = "answers"
    REFUSED = "refused"
    TIMED_OUT = "timed out"


async def cockroach_answers(port: int, *, host: str = LOOPBACK, seconds: float = 2.0) -> Answer:
    """Whether bytes go to a CockroachDB node and come back, within `seconds`."""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(SSL_REQUEST)
            await writer.drain()
            return Answer.YES if await reader.read(1) else Answer.REFUSED
    except TimeoutError:
        return Answer.TIMED_OUT
    except OSError:
        return Answer.REFUSED
    finally:
        if writer is not None:
            writer.transport.abort()


async def api_ready(url: str, *, seconds: float = 2.0) -> bool:
    """Whether an API instance says that it is ready."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def busiest_cockroach(urls: Sequence[str]) -> int | None:
    """The SQL port of the node that holds most range leases, of the nodes at `urls`; None where none can say."""
    import psycopg

    node_ids: dict[int, int] = {}
    busiest = None
    for url in urls:
        try:
            connection = await psycopg.AsyncConnection.connect(url, connect_timeout=3, autocommit=True)
        except psycopg.Error:
            continue
        async with connection:
            row = await (await connection.execute("SHOW node_id")).fetchone()
            if row is not None:
                node_ids[int(row[0])] = connection.info.port
            if busiest is None:
                row = await (await connection.execute(LEASES)).fetchone()
                busiest = int(row[0]) if row is not None else None
    return None if busiest is None else node_ids.get(busiest)
