"""Connections: pooled, with a time limit on every statement, and cut when the server falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from chronicle_ledger.domain.errors import Overloaded, RowUnreadable
from chronicle_ledger.store.failures import DATABASE_ERRORS, Failure, classify, session_useless, unavailable

Connection = AsyncConnection[Any]

Pooler = Literal["none", "transaction"]
"""What stands between: nothing, or a pooler that gives each transaction another session (PgBouncer)."""

_log = structlog.get_logger(__name__)

GRACE = 1.0
"""Seconds that the server gets beyond the statement timeout before the connection is cut from this side."""


def sever(connection: Connection) -> None:
    """Shut the socket down, so that whoever waits on it sees a lost connection at once.

    Asking the server to cancel would not do: it may be behind a partition, and a PostgreSQL that waits for its standby
    then keeps the commit on its own disk alone, visible to all, where a failover loses it.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=socket.dup(connection.fileno())) as handle,
    ):
        handle.shutdown(socket.SHUT_RDWR)


class SeveredConnection(AsyncConnection[Any]):
    """A connection that is cut where a task is cancelled while it waits for an answer (see `sever`)."""

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - the driver's own name
        """Cut the socket, rather than ask the server to cancel."""
        del timeout
        sever(self)


@dataclass(slots=True)
class Database:
    """A pool and the limits that go with it. Seconds throughout.

    `wait` is how long a read waits for a connection, and `max_waiting` how many may (0: any number). `companions` are
    pools on the same database: what makes the sessions of one useless does so to all.
    """

    pool: AsyncConnectionPool[Connection]
    statement_timeout: float
    wait: float = 3.0
    pooler: Pooler = "none"
    companions: Sequence[Database] = ()
    renewed_at: float = -math.inf
    max_waiting: int = 0
    in_use: int = field(default=0, init=False)
    waiting: int = field(default=0, init=False)

    async def renew_after(self, error: BaseException) -> None:
        """Replace all connections when `error` says that one is of no use: the others lead to the same server.

        Otherwise each would be found dead by a request of its own, and behind a partition that takes a time-out each.
        """
        if session_useless(error):
            await self.renew()

    async def renew(self) -> None:
        """Replace all connections, those of the companions too; not more than once a second."""
        now = asyncio.get_running_loop().time()
        if now - self.renewed_at > 1.0:
            for database in (self, *self.companions):
                database.renewed_at = now
                await database.pool.drain()

    @property
    def limits(self) -> list[str]:
        """Statements that give a transaction its limits, where the session may be another one for each transaction."""
        if self.pooler == "none":
            return []
        names = {"statement_timeout": self.statement_timeout, "idle_in_transaction_session_timeout": self.idle_timeout}
        return [f"SET LOCAL {name} = {int(seconds * 1000)}" for name, seconds in names.items()]

    @property
    def idle_timeout(self) -> float:
        """A replica cut off between two statements must not keep its rows locked for longer."""
        return 2 * (self.statement_timeout + GRACE)

    @contextlib.asynccontextmanager
    async def raw_connection(self, timeout: float) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - passed on
        """A connection in autocommit; errors come as the driver raises them. Waits `timeout` for a free one."""
        connection = await self._open_connection(timeout)
        self.in_use += 1
        try:
            async with connection:
                yield connection
        except psycopg.Error as error:
            if classify(error) is Failure.READ_ONLY:
                # The session keeps that for ever, whatever becomes of the database; the pool opens another one.
                await connection.close()
            raise
        finally:
            self.in_use -= 1
            await self.pool.putconn(connection)

    async def _open_connection(self, timeout: float) -> Connection:  # noqa: ASYNC109 - passed on
        """Take a connection that the server has not closed meanwhile. Raises PoolTimeout after `timeout`.

        The pool's own `check` pauses for a second after the first connection that fails it, and for longer after each
        further one. A server that restarts closes all of them, and the pool opens others at once.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            connection = await self._given(max(0.0, end - loop.time()))
            if not _closed_while_idle(connection):
                return connection
            await self.pool.putconn(connection)

    async def _given(self, timeout: float) -> Connection:  # noqa: ASYNC109 - passed on
        """Wait for a connection of the pool, unless too many do.

        They are counted here: the pool counts those too that have given up, and a request that it refuses for them is
        one by which it would have tried to connect again. After a long outage it refused every request for good.
        """
        if self.max_waiting and self.waiting >= self.max_waiting:
            raise TooManyRequests(f"{self.waiting} requests wait for a connection already")
        self.waiting += 1
        try:
            return await self.pool.getconn(timeout=timeout)
        finally:
            self.waiting -= 1

    @contextlib.contextmanager
    def watch(self, connection: Connection, limit: float | None = None) -> Any:
        """Cut `connection` if the block takes longer than `limit` (default: the statement timeout and a grace)."""
        after = self.statement_timeout + GRACE if limit is None else limit
        timer = asyncio.get_running_loop().call_later(after, sever, connection)
        try:
            yield
        finally:
            timer.cancel()

    @contextlib.asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ASYNC109
        """A connection in autocommit for reads and small writes; behind a pooler, in a transaction of its own.

        Raises Overloaded when none is free within `timeout` (default: `wait`), or too many wait already, and another
        DatabaseUnavailable for every error that says that the database, rather than the statement, is at fault.
        """
        try:
            async with self.raw_connection(self.wait if timeout is None else timeout) as connection:
                with self.watch(connection):
                    if self.pooler == "none":
                        yield connection
                    else:
                        async with connection.transaction():
                            for statement in self.limits:
                                await connection.execute(statement.encode())
                            yield connection
        except DATABASE_ERRORS as error:
            if isinstance(error, (PoolTimeout, TooManyRequests)) and self.in_use:
                raise Overloaded("Too many requests wait for the database; try again.") from error
            refusal = unavailable(error)
            if refusal is None:
                if isinstance(error, psycopg.DataError) and error.sqlstate is None:
                    # The driver's: a time without a year, or one past 9999, which no ledger writes.
                    raise RowUnreadable(
                        "A row of this is none that a ledger writes; `chronicle proof` locates what was changed."
                    ) from error
                raise
            await self.renew_after(error)
            raise refusal from error

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()


def _closed_while_idle(connection: Connection) -> bool:
    """Whether the server has closed an idle connection (a node that was drained or stopped).

    No question is asked. An idle server says nothing, so bytes that wait are its farewell, and reading them tells.
    """
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    while waiting.poll(0):  # first what it said, then the end
        try:
            connection.pgconn.consume_input()
        except psycopg.OperationalError:
            return True
        if connection.pgconn.status != psycopg.pq.ConnStatus.OK:
            return True
    return False


async def open_pool(
    url: str,
    *,
    size: int = 8,
    statement_timeout: float = 3.0,
    name: str = "chronicle",
    connect_timeout: float = 3.0,
    wait: float | None = None,
    max_waiting: int = 0,
    pooler: Pooler = "none",
) -> Database:
    """Open a pool of `size` connections on `url` (libpq; several hosts are tried in order). Times in seconds.

    A read waits `wait` for a free one (default: the statement timeout), and `max_waiting` may wait (0: any number).
    Returns at once, with the database up or not: connections are made, and made again, in the background.
    """

    async def configure(connection: Connection) -> None:
        # The session's own time zone is one of the few settings that a pooler keeps for each of its clients.
        if connection.info.parameter_status("crdb_version") is None:
            await connection.execute("SET timezone = 'UTC'")
        if pooler == "transaction":
            return  # what is set here would stay with a session that others use next
        # Milliseconds as a bare number: the one spelling that PostgreSQL and CockroachDB 20.1 share.
        await connection.execute(f"SET statement_timeout = {int(statement_timeout * 1000)}")
        if connection.info.parameter_status("crdb_version") is None:
            # CockroachDB 20.1 knows the variable only as 0, and ends such transactions by their missing heartbeat.
            await connection.execute(f"SET idle_in_transaction_session_timeout = {int(database.idle_timeout * 1000)}")

    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        connection_class=SeveredConnection,
        min_size=size,
        max_size=size,
        open=False,
        name=name,
        configure=configure,
        # The pool's pauses between attempts double; giving an attempt up soon keeps the pause short after an outage.
        reconnect_timeout=max(2.0, connect_timeout),
        timeout=statement_timeout,
        kwargs={
            "autocommit": True,
            # A prepared statement belongs to a session, which behind a pooler is another one next time.
            "prepare_threshold": 2 if pooler == "none" else None,
            "application_name": name,
            "connect_timeout": max(2, round(connect_timeout)),
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )
    database = Database(
        pool, statement_timeout, statement_timeout if wait is None else wait, pooler, max_waiting=max_waiting
    )
    await pool.open(wait=False)
    return database
