"""Connections: pooled, with a time limit on every statement, and cut when the server falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store.failures import DATABASE_ERRORS, Failure, classify, connection_lost

Connection = AsyncConnection[Any]

_log = structlog.get_logger(__name__)

GRACE = 1.0
"""Seconds that the server gets beyond the statement timeout before the connection is cut from this side."""


def sever(connection: Connection) -> None:
    """Shut the socket down, so that whoever waits on it sees a lost connection at once.

    Cancelling the task would not do: the driver first asks the server to cancel, and waits for a server that may be
    behind a partition.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=socket.dup(connection.fileno())) as handle,
    ):
        handle.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Database:
    """The pool and the limits that go with it. Seconds throughout."""

    pool: AsyncConnectionPool[Connection]
    statement_timeout: float
    renewed_at: float = -math.inf

    async def renew_after(self, error: BaseException) -> None:
        """Replace all connections when `error` says that one was lost: the others lead to the same server.

        Otherwise each would be found dead by a request of its own, and behind a partition that takes a time-out each.
        Not more than once a second.
        """
        now = asyncio.get_running_loop().time()
        if connection_lost(error) and now - self.renewed_at > 1.0:
            self.renewed_at = now
            await self.pool.drain()

    @contextlib.asynccontextmanager
    async def raw_connection(self, timeout: float) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - passed on
        """A connection in autocommit; errors come as the driver raises them. Waits `timeout` for a free one."""
        async with self.pool.connection(timeout=timeout) as connection:
            yield connection

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
        """A connection in autocommit for reads and small writes.

        Raises DatabaseUnavailable when none is free in `timeout` (default: the statement timeout), and for every
        error that says that the database, rather than the statement, is at fault.
        """
        wait = self.statement_timeout if timeout is None else timeout
        try:
            async with self.raw_connection(wait) as connection:
                with self.watch(connection):
                    yield connection
        except DATABASE_ERRORS as error:
            if classify(error) is Failure.REFUSED:
                raise
            await self.renew_after(error)
            raise DatabaseUnavailable("The database does not answer; try again.") from error

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()


async def open_pool(
    url: str,
    *,
    size: int = 8,
    statement_timeout: float = 3.0,
    name: str = "chronicle",
    connect_timeout: float = 3.0,
) -> Database:
    """Open a pool of `size` connections on `url` (libpq; several hosts are tried in order). Times in seconds.

    Returns at once, with the database up or not: connections are made, and made again, in the background.
    """

    async def configure(connection: Connection) -> None:
        # Milliseconds as a bare number: the one spelling that PostgreSQL and CockroachDB 20.1 share.
        await connection.execute(f"SET statement_timeout = {int(statement_timeout * 1000)}")
        if connection.info.parameter_status("crdb_version") is None:
            # A replica cut off between two statements must not keep its rows locked. CockroachDB 20.1 knows the
            # variable only as 0, and ends such transactions by their missing heartbeat.
            await connection.execute(
                f"SET idle_in_transaction_session_timeout = {int((statement_timeout + GRACE) * 2000)}"
            )
            await connection.execute("SET timezone = 'UTC'")

    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
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
            "prepare_threshold": 2,
            "application_name": name,
            "connect_timeout": max(2, round(connect_timeout)),
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )
    await pool.open(wait=False)
    return Database(pool, statement_timeout)
