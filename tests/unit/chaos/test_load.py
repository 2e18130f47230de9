"""The load ends when the read model is known to have everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chronicle_chaos.load import load
from chronicle_chaos.load.load import Load
from chronicle_chaos.load.steadiness import SteadyState

KNOWN = {"status": "ok", "lag_events": 0, "backlog": 0}


class Told:
    """A sampler that is told these answers, the last one again and again."""

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self._answers: Iterator[Mapping[str, Any]] = iter(answers)
        self.asked = 0
        self._last: Mapping[str, Any] = {}

    async def sample(self) -> Mapping[str, Any]:
        self.asked += 1
        self._last = next(self._answers, self._last)
        return self._last


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LOOK_EVERY_SECONDS", 0.001)


async def asked_until_caught_up(*answers: Mapping[str, Any], seconds: float = 20.0) -> int:
    """How often it asks before it goes on."""
    told = Told(*answers)
    await Load(None, None, told, SteadyState(), 0.0).caught_up(seconds)  # type: ignore[arg-type]
    return told.asked


@pytest.mark.parametrize(
    "unfinished",
    [
        pytest.param({}, id="nobody answered"),
        pytest.param({"status": "degraded", "backlog": 0}, id="the lag is unknown"),
        pytest.param({"status": "degraded", "lag_events": 0}, id="the backlog is unknown"),
        pytest.param(KNOWN | {"lag_events": 3}, id="the read model is behind"),
        pytest.param(KNOWN | {"backlog": 1}, id="an event is still in the outbox"),
    ],
)
async def test_it_is_asked_again_until_lag_and_backlog_are_known_to_be_none(unfinished: Mapping[str, Any]) -> None:
    assert await asked_until_caught_up(unfinished, unfinished, KNOWN) == 3


async def test_what_stays_unknown_is_waited_for_no_longer_than_it_may() -> None:
    assert await asked_until_caught_up({"status": "degraded"}, seconds=0.05) > 1


def test_steady_state_is_what_the_documents_say() -> None:
    steady = SteadyState()
    text = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    said = f"over {steady.window:g} s, {steady.share * 100:g} % of requests must be answered within {steady.settle:g} s"
    assert said in text
