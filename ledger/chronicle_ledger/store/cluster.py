"""How the database itself is: nodes alive of all, ranges without enough replicas. For `/health`.

Facts about CockroachDB that this relies on, seen on 20.1 and documented for later releases: `gossip_nodes` and
`gossip_liveness` are answered by the asked node from its own memory, so also by one without quorum;
`kv_store_status` is read from the cluster and needs quorum, and each node refreshes its part every 10 seconds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import psycopg

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store.failures import DATABASE_ERRORS
from chronicle_ledger.store.pool import Connection, Database

# A node that was taken out of the cluster stays in gossip for a while; it is not missed.
_NODES = """
SELECT count(*), count(*) FILTER (WHERE n.is_live)
FROM crdb_internal.gossip_nodes AS n
LEFT JOIN crdb_internal.gossip_liveness AS l ON l.node_id = n.node_id
WHERE n.is_live OR NOT COALESCE(l.decommissioning, false)
"""
# A read of the ledger itself: whoever can answer it has a quorum, whatever gossip has heard. After a node was lost,
# gossip may take many seconds to find a new way around, and may meanwhile take living nodes for dead.
_READ = "SELECT count(*) FROM (SELECT 1 FROM account LIMIT 1) AS one"
# A dead node's last report says what was true when it died, so only the living are asked.
_RANGES = """
SELECT sum((s.metrics->>'ranges.underreplicated')::FLOAT8)::INT8, sum((s.metrics->>'ranges.unavailable')::FLOAT8)::INT8
FROM crdb_internal.kv_store_status AS s
JOIN crdb_internal.gossip_nodes AS n ON n.node_id = s.node_id
WHERE n.is_live
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

    @property
    def degraded(self) -> bool:
        """Whether something is missing although the database answers."""
        fewer = self.nodes_live is not None and self.nodes_total is not None and self.nodes_live < self.nodes_total
        return fewer or not self.serving or bool(self.ranges_underreplicated) or bool(self.ranges_unavailable)

    @property
    def quorum(self) -> bool:
        """Whether the database can decide: the ledger could be read, or more than half of the nodes are alive as far as
        the asked node has heard (then a read that failed is a stall, such as a lease that is moving)."""
        if self.serving:
            return True
        if self.nodes_live is None or self.nodes_total is None:
            return False
        return self.nodes_live * 2 > self.nodes_total


async def _row(connection: Connection, query: str) -> tuple[Any, ...] | None:
    """The query's one row, or None where this release or this user may not ask."""
    with contextlib.suppress(psycopg.Error):
        cursor = await connection.execute(query.encode())
        row: tuple[Any, ...] | None = await cursor.fetchone()
        return row
    return None


async def cluster_state(database: Database, *, timeout: float = 1.0) -> ClusterState:  # noqa: ASYNC109 - seconds
    """Ask one node. Raises DatabaseUnavailable when it does not answer; a part that takes longer than `timeout`
    seconds is left out.
    """
    try:
        async with database.raw_connection(timeout) as connection:
            if connection.info.parameter_status("crdb_version") is None:
                with database.watch(connection, timeout):
                    await connection.execute("SELECT 1")
                return ClusterState("postgresql", 1, 1)
            with database.watch(connection, 4 * timeout):
                await connection.execute(f"SET statement_timeout = {int(timeout * 1000)}")
                try:
                    nodes = await _row(connection, _NODES)
                    serving = await _row(connection, _READ) is not None
                    ranges = await _row(connection, _RANGES) if serving else None
                finally:
                    with contextlib.suppress(psycopg.Error):
                        await connection.execute(f"SET statement_timeout = {int(database.statement_timeout * 1000)}")
    except DATABASE_ERRORS as error:
        raise DatabaseUnavailable("The database does not answer.") from error
    total, live = (None, None) if nodes is None else nodes
    underreplicated, unavailable = (None, None) if ranges is None else ranges
    return ClusterState("cockroachdb", live, total, underreplicated, unavailable, serving)
