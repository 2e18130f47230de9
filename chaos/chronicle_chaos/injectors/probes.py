"""Small questions to servers, asked the same way wherever they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, LiteralString

import aiohttp

from chronicle_chaos.injectors.injection import InjectionError, Observation

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

LOOPBACK = "127.0.0.1"
SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""The eight bytes to which every PostgreSQL-speaking server answers one (PostgreSQL documentation, 55.7)."""

# From 26.1 on the tables of crdb_internal are closed to a session that does not ask for them. 20.1 knows no such word.
UNSAFE = "allow_unsafe_internals"
# 20.1 and current releases alike; a range without a live leaseholder names none.
LEASES = "SELECT lease_holder, count(*) AS n FROM crdb_internal.ranges GROUP BY lease_holder"
FOLLOWERS = "SELECT application_name, sync_state FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1"


class Answer(StrEnum):
    """What came of a question over a connection."""

    YES = "answers"
    REFUSED = "refused"
    RESET = "reset"
    CLOSED = "closed"
    TIMED_OUT = "timed out"


async def answer_of(port: int, question: bytes, *, host: str = LOOPBACK, seconds: float = 2.0) -> Answer:
    """Whether a new connection is made, the question goes there and a byte comes back, within `seconds`. Without a
    question the server is one that speaks first."""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(question)
            await writer.drain()
            return Answer.YES if await reader.read(1) else Answer.CLOSED
    except (OSError, TimeoutError) as error:
        return came_of(error)
    finally:
        if writer is not None:
            writer.transport.abort()


def came_of(error: OSError | TimeoutError) -> Answer:
    """What an error says about a connection."""
    if isinstance(error, ConnectionRefusedError):
        return Answer.REFUSED
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Answer.RESET
    return Answer.TIMED_OUT if isinstance(error, TimeoutError) else Answer.CLOSED


async def api_ready(url: str, *, seconds: float = 2.0) -> bool:
    """Whether an API instance says that it is ready."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def cockroach_leases(urls: Mapping[str, str]) -> dict[str, int]:
    """How many range leases each node holds, by the names of `urls`. Raises InjectionError where a node cannot be
    asked: whoever holds most could be that one."""
    import psycopg

    names: dict[int, str] = {}
    counts: dict[int, int] = {}
    for name, url in urls.items():
        try:
            connection = await psycopg.AsyncConnection.connect(url, connect_timeout=5, autocommit=True)
            async with connection:
                (node,) = await _one(connection, "SHOW node_id")
                names[int(node)] = name
                if not counts:
                    with contextlib.suppress(psycopg.Error):
                        await connection.execute(f"SET {UNSAFE} = on".encode())
                    rows = await (await connection.execute(LEASES)).fetchall()
                    counts = {int(node): int(n) for node, n in rows if node is not None}
        except psycopg.Error as error:
            raise InjectionError(
                f"{name} does not say which leases it holds ({str(error).strip()})", next_step="see its log"
            ) from error
    return {name: counts.get(node, 0) for node, name in names.items()}


async def postgres_followers(url: str, port: int) -> list[str]:
    """Ask the PostgreSQL on a port of this machine, a primary, which standbys follow it, and how they count.

    Raises InjectionError where it does not say, or is no primary.
    """
    import psycopg

    try:
        connection = await psycopg.AsyncConnection.connect(
            url, host=LOOPBACK, port=port, connect_timeout=5, target_session_attrs="read-write"
        )
        async with connection:
            return [f"{name} ({sync})" for name, sync in await (await connection.execute(FOLLOWERS)).fetchall()]
    except psycopg.Error as error:
        raise InjectionError(
            f"PostgreSQL on port {port} does not say who follows it ({str(error).strip()})", next_step="see its log"
        ) from error


def busiest(leases: Mapping[str, int]) -> str:
    """The name with most leases. Raises InjectionError where nobody holds any: then nobody could say."""
    if not any(leases.values()):
        raise InjectionError("no CockroachDB node is said to hold a lease", next_step="wait until the database is well")
    return max(sorted(leases), key=lambda name: leases[name])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The node whose loss hurts most, and how that is known: an observation that shows the fault if it hit the right
    one."""

    name: str
    shown: Observation
    also: tuple[Observation, ...] = ()


def by_leases(leases: Mapping[str, int]) -> Chosen:
    """Choose the node that holds most leases. Raises InjectionError where no node holds any."""
    name = busiest(leases)
    return Chosen(name, chosen_for(leases, name))


def chosen_for(leases: Mapping[str, int], name: str) -> Observation:
    """That the node that was hit is the one that held most leases, with the counts."""
    counts = ", ".join(f"{node} {n}" for node, n in sorted(leases.items()))
    return Observation(f"range leases before {name} was killed", counts, f"{name} held most", name == busiest(leases))


async def _one(connection: AsyncConnection[TupleRow], query: LiteralString) -> TupleRow:
    row = await (await connection.execute(query)).fetchone()
    if row is None:
        raise InjectionError(f"{query} has no answer", next_step="see the database's log")
    return row
