"""What /health says of the database is what its nodes said, and no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from chronicle_ledger.health import database as components
from chronicle_ledger.health.database import RANGES_REMEMBERED_SECONDS, REMEMBERED_SECONDS, DatabaseComponent
from chronicle_ledger.health.health import Health
from chronicle_ledger.store.cluster import ClusterState

WHOLE = ClusterState("cockroachdb", 3, 3, 0, 0)
ONE_AWAY = ClusterState("cockroachdb", 2, 3, 47, 0)
SILENT = ClusterState("cockroachdb", None, None)
"""The ledger could be read; the node did not say in time how its peers are."""
RANGES_UNKNOWN = ClusterState("cockroachdb", 3, 3)
STALLED = ClusterState("cockroachdb", None, None, serving=False)


class Asked:
    """The component of a database that gives these answers, `every` seconds apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: ClusterState, every: float = 1.0) -> None:
        waiting, self._now, self._every = iter(answers), 0.0, every

        async def answer(_: Any, **__: Any) -> ClusterState:
            return next(waiting)

        async def current(_: Any) -> bool:
            return True

        monkeypatch.setattr(components, "cluster_state", answer)
        monkeypatch.setattr(DatabaseComponent, "_has_schema", current)
        self._component = DatabaseComponent(None, clock=lambda: self._now)  # type: ignore[arg-type]

    name = "database"
    vital = True

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


async def test_nodes_of_which_nothing_was_ever_said_are_not_called_well(monkeypatch: pytest.MonkeyPatch) -> None:
    said = await Asked(monkeypatch, SILENT).probe()
    assert (said["status"], said["nodes_live"]) == ("degraded", None)
    assert "does not say" in said["error"]


async def test_ranges_of_which_nothing_was_ever_said_are_not_called_well(monkeypatch: pytest.MonkeyPatch) -> None:
    said = await Asked(monkeypatch, RANGES_UNKNOWN).probe()
    assert (said["status"], said["nodes_live"], said["ranges_underreplicated"]) == ("degraded", 3, None)
    assert "its ranges" in said["error"]


async def test_ranges_are_taken_at_their_last_word_for_a_minute_while_the_nodes_are_counted_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = replace(RANGES_UNKNOWN, nodes_live=2)
    asked = Asked(monkeypatch, WHOLE, RANGES_UNKNOWN, two, RANGES_UNKNOWN, every=RANGES_REMEMBERED_SECONDS / 2)
    said = [await asked.probe() for _ in range(4)]
    assert [it["status"] for it in said] == ["ok", "ok", "degraded", "degraded"]
    assert [it["ranges_underreplicated"] for it in said] == [0, 0, 0, None]
    assert "error" not in said[2], "a node is missing, and that is in the figures"


async def test_of_a_node_that_cannot_read_the_ledger_no_range_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, WHOLE, replace(RANGES_UNKNOWN, serving=False))
    await asked.probe()
    said = await asked.probe()
    assert (said["status"], said["ranges_underreplicated"]) == ("degraded", None)


async def test_a_database_that_takes_no_writes_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, ClusterState("postgresql", None, None, writable=False), ClusterState("postgresql", 1, 1))
    said = await asked.probe()
    assert said["status"] == "down"
    assert "read-only" in said["error"]
    assert (await asked.probe())["status"] == "ok"


async def test_a_ledger_that_is_being_put_back_is_down_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, replace(WHOLE, restoring=True), SILENT)
    health = Health([asked], {})
    assert "a backup is being put back" in str(await health.vital_reason())
    assert health.restoring
    assert (await asked.probe())["status"] == "down", "what cannot be read just now is as it was"
    served = Health([Asked(monkeypatch, WHOLE)], {})
    assert await served.vital_reason() is None
    assert not served.restoring
