"""What `/health` counts where the database is PostgreSQL with standbys."""

from __future__ import annotations

from typing import Any

import pytest

from chronicle_ledger.store import cluster


class _Cursor:
    def __init__(self, row: tuple[int, ...]) -> None:
        self._row = row

    async def fetchone(self) -> tuple[int, ...]:
        return self._row


class _Connection:
    """Answers by which table is asked."""

    def __init__(self, slots: tuple[int, int]) -> None:
        self._slots = slots

    async def execute(self, query: str | bytes) -> _Cursor:
        text = query if isinstance(query, str) else query.decode()
        return _Cursor(self._slots if "pg_replication_slots" in text else (0, 0))


@pytest.mark.parametrize(
    ("slots", "live", "total", "degraded"),
    [((0, 0), 1, 1, False), ((2, 2), 3, 3, False), ((2, 1), 2, 3, True), ((2, 0), 1, 3, True)],
)
async def test_a_standby_whose_slot_is_not_in_use_is_missing(
    slots: tuple[int, int], live: int, total: int, *, degraded: bool
) -> None:
    connection: Any = _Connection(slots)
    state = await cluster._postgresql(connection)
    assert (state.nodes_live, state.nodes_total, state.degraded) == (live, total, degraded)
