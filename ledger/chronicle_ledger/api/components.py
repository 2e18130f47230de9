"""The components that /health looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chronicle_ledger.store import migrate
from chronicle_ledger.store.cluster import cluster_state
from chronicle_ledger.store.pool import Database


class DatabaseComponent:
    """The database, without which nothing works.

    Down when it does not answer, sees fewer than half of its nodes, or lacks this version's schema; degraded while
    nodes are missing or ranges lack replicas. An outdated schema is looked for until it has been seen current once.
    """

    name = "database"
    vital = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._migrated = False

    async def probe(self) -> Mapping[str, Any]:
        """Its nodes and ranges, as far as the asked node can tell. Raises DatabaseUnavailable."""
        state = await cluster_state(self._database)
        figures = {
            "kind": state.kind,
            "nodes_live": state.nodes_live,
            "nodes_total": state.nodes_total,
            "ranges_underreplicated": state.ranges_underreplicated,
            "ranges_unavailable": state.ranges_unavailable,
        }
        if not state.quorum:
            return {"status": "down", "error": "fewer than half of the database's nodes can be reached", **figures}
        if not await self._has_schema():
            return {"status": "down", "error": "the schema is missing or old: run `chronicle migrate`", **figures}
        return {"status": "degraded" if state.degraded else "ok", **figures}

    async def _has_schema(self) -> bool:
        if not self._migrated:
            async with self._database.connection(1.0) as connection:
                self._migrated = await migrate.is_current(connection)
        return self._migrated
