"""How the database itself is: nodes alive of all, ranges without enough replicas. For `/health`.

Facts about CockroachDB that this relies on, seen on 20.1 and documented for later releases: `gossip_nodes` and
`gossip_liveness` are answered by the asked node from its own memory, so also by one without quorum;
`kv_store_status` is read from the cluster and needs quorum, and each node refreshes its part every 10 seconds.

PostgreSQL counts its primary, and a standby for each physical replication slot (PostgreSQL documentation, 53.20).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store import server
from chronicle_ledger.store.failures import DATABASE_ERRORS
from chronicle_ledger.store.pool import Connection, Database

_log = structlog.get_logger(__name__)

NEXT_STEP = (
    "grant the role of CHRONICLE_DATABASE_URL the privilege VIEWCLUSTERMETADATA (before 23.1.12: name a member of admin"
    " in CHRONICLE_STATUS_DATABASE_URL)"
)

# A node that was taken out of the cluster stays in gossip for a while; it is not missed.
_NODES = """
SELECT count(*), count(*) FILTER (WHERE n.is_live)
FROM crdb_internal.gossip_nodes AS n
LEFT JOIN crdb_internal.gossip_liveness AS l ON l.node_id = n.node_id
WHERE n.is_live OR NOT COALESCE(l.decommissioning, false)
"""
# A read of the ledger itself: whoever can answer it has a quorum, whatever gossip has heard. After a node was lost,
# gossip may take many seconds to find a new way around, and may meanwhile take living nodes for dead.
# With it comes the mark of a restore: a read of its own would be one more that may stall.
_READ = "SELECT (SELECT count(*) FROM (SELECT 1 FROM account LIMIT 1) AS one), (SELECT count(*) FROM restoring)"
_MARK = "SELECT count(*) FROM restoring"
# A dead node's last report says what was true when it died, so only the living are asked.
_RANGES = """
SELECT sum((s.metrics->>'ranges.underreplicated')::FLOAT8)::INT8, sum((s.metrics->>'ranges.unavailable')::FLOAT8)::INT8
FROM crdb_internal.kv_store_status AS s
JOIN crdb_internal.gossip_nodes AS n ON n.node_id = s.node_id
WHERE n.is_live
"""
# A standby has a slot on its primary for as long as it is expected back, and everybody may read which are in use.
# Logical slots are of subscribers, and what a base backup uses is gone with it.
_STANDBYS = """
SELECT count(*), count(*) FILTER (WHERE active)
FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary
"""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The database's own condition. None: it would not say (no rights, or no quorum to say it with)."""

    kind: str
    """`cockroachdb` or `postgresql`."""
    nodes_live: int | None
    nodes_total: int | None
    ranges_underreplicated: int | None = None
    ranges_unavailable: int | None = None
    serving: bool = True
    """Whether the asked node could read the ledger just now."""
    writable: bool = True
    """False: its sessions are read-only, as on a primary that was demoted."""

    restoring: bool | None = None
    """Whether a backup is being put back, or was and is not proven; None: it could not be read just now."""

    @property
    def degraded(self) -> bool:
        """Whether something is missing although the database answers."""
        fewer = self.nodes_live is not None and self.nodes_total is not None and self.nodes_live < self.nodes_total
        return (
            fewer
            or self.nodes_live is None
            or not self.serving
            or bool(self.ranges_underreplicated)
            or bool(self.ranges_unavailable)
        )

    @property
    def quorum(self) -> bool:
        """Whether the database can decide: the ledger could be read, or more than half of the nodes are alive as far as
        the asked node has heard (then a read that failed is a stall, such as a lease that is moving)."""
        if self.serving:
            return True
        if self.nodes_live is None or self.nodes_total is None:
            return False
        return self.nodes_live * 2 > self.nodes_total


_told: set[str] = set()
"""What was refused and logged already, in this process."""


async def _row(connection: Connection, query: str) -> tuple[Any, ...] | None:
    """The query's one row, or None where this release or this user may not ask, or the answer takes too long."""
    try:
        cursor = await connection.execute(query.encode())
        row: tuple[Any, ...] | None = await cursor.fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as no:
        if query not in _told:
            _told.add(query)
            _log.warning("database.status_denied", error=str(no).strip(), next_step=NEXT_STEP)
        return None
    except psycopg.Error:
        return None
    return row


async def cluster_state(
    database: Database,
    *,
    status: Database | None = None,
    timeout: float = 1.0,  # noqa: ASYNC109 - seconds
) -> ClusterState:
    """Ask one node. Raises DatabaseUnavailable when it does not answer; a part that takes longer than `timeout`
    seconds is left out. Nodes and ranges are asked for through `status` (default: `database` too).
    """
    try:
        async with database.raw_connection(timeout) as connection:
            kind = server.kind(connection)
            postgresql = kind == "postgresql"
            with database.watch(connection, timeout if postgresql else 4 * timeout):
                await _check_writable(connection)
                if postgresql:
                    return await _postgresql(connection)
                async with _limited(database, connection, timeout):
                    read = await _row(connection, _READ)
                    serving = read is not None
                    restoring = None if read is None else read[1] > 0
                    if status is None:
                        nodes, ranges = await _figures(connection, serving=serving)
    except psycopg.errors.ReadOnlySqlTransaction as error:
        await database.renew_after(error)  # the other sessions are as old
        return ClusterState(kind, None, None, writable=False)
    except DATABASE_ERRORS as error:
        await database.renew_after(error)
        raise DatabaseUnavailable("The database does not answer.") from error
    if status is not None:
        nodes, ranges = await _figures_by(status, timeout, serving=serving)
    total, live = nodes
    underreplicated, unavailable = ranges
    return ClusterState("cockroachdb", live, total, underreplicated, unavailable, serving, restoring=restoring)


async def _postgresql(connection: Connection) -> ClusterState:
    """The primary and its standbys. Raises what the driver does."""
    standbys, following = await (await connection.execute(_STANDBYS)).fetchone() or (0, 0)
    mark = await _row(connection, _MARK)
    restoring = None if mark is None else mark[0] > 0
    return ClusterState("postgresql", 1 + following, 1 + standbys, restoring=restoring)


Pair = tuple[int | None, int | None]
UNKNOWN: Pair = (None, None)


async def _figures(connection: Connection, *, serving: bool) -> tuple[Pair, Pair]:
    """Nodes in total and alive, ranges that lack replicas and that are unavailable. The latter need a quorum."""
    if server.version(connection) >= (26, 1):
        # From then on the tables of crdb_internal are closed, to those too who have the right to read them.
        await server.set_where_known(connection, "allow_unsafe_internals", "on")
    nodes = await _row(connection, _NODES)
    ranges = await _row(connection, _RANGES) if serving else None
    return (UNKNOWN if nodes is None else (nodes[0], nodes[1])), (UNKNOWN if ranges is None else (ranges[0], ranges[1]))


async def _figures_by(status: Database, timeout: float, *, serving: bool) -> tuple[Pair, Pair]:  # noqa: ASYNC109
    try:
        async with status.raw_connection(timeout) as connection:
            with status.watch(connection, 4 * timeout):
                async with _limited(status, connection, timeout):
                    return await _figures(connection, serving=serving)
    except DATABASE_ERRORS as error:
        _log.info("database.status_unreachable", error=type(error).__name__)
        return UNKNOWN, UNKNOWN


async def _check_writable(connection: Connection) -> None:
    """Raise what a write would meet on a session that takes none."""
    cursor = await connection.execute("SHOW transaction_read_only")
    row = await cursor.fetchone()
    if row is not None and row[0] == "on":
        raise psycopg.errors.ReadOnlySqlTransaction("the session is read-only")


@contextlib.asynccontextmanager
async def _limited(database: Database, connection: Connection, timeout: float) -> AsyncIterator[None]:  # noqa: ASYNC109
    """Statements of `timeout` seconds at most. Behind a pooler the cut of the connection alone bounds them."""
    if database.pooler == "none":
        await connection.execute(f"SET statement_timeout = {int(timeout * 1000)}")
    try:
        yield
    finally:
        if database.pooler == "none":
            with contextlib.suppress(psycopg.Error):
                await connection.execute(f"SET statement_timeout = {int(database.statement_timeout * 1000)}")
