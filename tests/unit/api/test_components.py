"""What /health says of the database is what its nodes said, and no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chronicle_ledger.api import components
from chronicle_ledger.api.components import REMEMBERED_SECONDS, DatabaseComponent
from chronicle_ledger.store.cluster import ClusterState

WHOLE = ClusterState("cockroachdb", 3, 3, 0, 0)
ONE_AWAY = ClusterState("cockroachdb", 2, 3, 47, 0)
SILENT = ClusterState("cockroachdb", None, None)
"""The ledger could be read; the node did not say in time how its peers are."""
STALLED = ClusterState("cockroachdb", None, None, serving=False)


class Asked:
    """The component of a database that gives these answers, `every` seconds apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: ClusterState, every: float = 1.0) -> None:
        waiting, self._now, self._every = iter(answers), 0.0, every

        async def answer(_: Any) -> ClusterState:
            return next(waiting)

        async def current(_: Any) -> bool:
            return True

        monkeypatch.setattr(components, "cluster_state", answer)
        monkeypatch.setattr(DatabaseComponent, "_has_schema", current)
        self._component = DatabaseComponent(None, clock=lambda: self._now)  # type: ignore[arg-type]

    async def probe(self) -> Mapping[str, Any]:
        self._now += self._every
        return await self._component.probe()


async def test_a_node_that_is_too_busy_to_tell_does_not_make_a_missing_one_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Asked(monkeypatch, ONE_AWAY, SILENT)
    first = await asked.probe()
    assert (first["status"], first["nodes_live"]) == ("degraded", 2)
    assert await asked.probe() == first


async def test_a_node_that_is_too_busy_to_tell_does_not_degrade_a_database_that_was_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Asked(monkeypatch, WHOLE, SILENT)
    await asked.probe()
    assert (await asked.probe())["status"] == "ok"


async def test_what_was_said_is_not_held_for_true_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, ONE_AWAY, SILENT, every=REMEMBERED_SECONDS + 1)
    await asked.probe()
    assert (await asked.probe())["nodes_live"] is None


async def test_a_node_that_can_read_nothing_is_down_whatever_it_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, WHOLE, STALLED)
    await asked.probe()
    assert (await asked.probe())["status"] == "down"
