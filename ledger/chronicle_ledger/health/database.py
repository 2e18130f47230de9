"""The components that /health looks at."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chronicle_ledger.store import migrate
from chronicle_ledger.store.cluster import ClusterState, cluster_state
from chronicle_ledger.store.pool import Database

REMEMBERED_SECONDS = 10.0
"""For how long what a node said of its peers stands in for what it could not say in time: it hears of them no more
often itself."""


RANGES_REMEMBERED_SECONDS = 60.0
"""The same for its ranges: that is a read of the cluster, and a busy one may not answer it in time for a while."""


class DatabaseComponent:
    """The database, without which nothing works.

    Down when it does not answer, sees fewer than half of its nodes, lacks this version's schema, takes no writes, or
    has a backup put back that is not proven yet; degraded while nodes are missing, ranges lack replicas, or it does not
    say. An outdated schema is looked for until it has been seen current once. A node that serves, but does not say in
    time how its peers are, is taken at its last word for a while: silence is no sign that nothing is missing.
    """

    name = "database"
    vital = True

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.monotonic, *, status: Database | None = None
    ) -> None:
        self._database = database
        self._status = status
        self._migrated = False
        self._marked = False
        self._clock = clock
        self._last: ClusterState | None = None
        self._said_at = -math.inf
        self._ranges: tuple[int | None, int | None] = (None, None)
        self._ranges_at = -math.inf

    async def probe(self) -> Mapping[str, Any]:
        """Its nodes and ranges, as far as the asked node can tell. Raises DatabaseUnavailable."""
        told = await cluster_state(self._database, status=self._status)
        if told.restoring is not None:
            self._marked = told.restoring
        state = self._completed(told)
        figures = {
            "kind": state.kind,
            "nodes_live": state.nodes_live,
            "nodes_total": state.nodes_total,
            "ranges_underreplicated": state.ranges_underreplicated,
            "ranges_unavailable": state.ranges_unavailable,
        }
        if not state.writable:
            why = "the database is read-only: it takes no writes (a primary that was demoted, or a setting)"
            return {"status": "down", "error": why, **figures}
        if not state.quorum:
            return {"status": "down", "error": "fewer than half of the database's nodes can be reached", **figures}
        if not await self._has_schema():
            return {"status": "down", "error": "the schema is missing or old: run `chronicle migrate`", **figures}
        if self._marked:
            why = "a backup is being put back, or was and is not proven: see `chronicle backup restore`"
            return {"status": "down", "error": why, "restoring": True, **figures}
        if state.nodes_live is None:
            why = "the database answers, but does not say how its nodes are; the log says what it refuses"
            return {"status": "degraded", "error": why, **figures}
        if state.kind == "cockroachdb" and state.ranges_underreplicated is None:
            why = "the database answers, but does not say how its ranges are; the log says what it refuses"
            return {"status": "degraded", "error": why, **figures}
        return {"status": "degraded" if state.degraded else "ok", **figures}

    def _completed(self, state: ClusterState) -> ClusterState:
        if state.ranges_underreplicated is not None:
            self._ranges, self._ranges_at = (state.ranges_underreplicated, state.ranges_unavailable), self._clock()
        elif state.serving and self._clock() - self._ranges_at <= RANGES_REMEMBERED_SECONDS:
            underreplicated, unavailable = self._ranges
            state = replace(state, ranges_underreplicated=underreplicated, ranges_unavailable=unavailable)
        if state.nodes_live is not None:
            self._last, self._said_at = state, self._clock()
            return state
        if not state.serving or self._last is None or self._clock() - self._said_at > REMEMBERED_SECONDS:
            return state
        return replace(self._last, serving=True)

    async def _has_schema(self) -> bool:
        if not self._migrated:
            async with self._database.connection(1.0) as connection:
                self._migrated = await migrate.is_current(connection)
        return self._migrated
