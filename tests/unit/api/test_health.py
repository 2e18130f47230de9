"""A process that has just started is not asked for work before it has heard of what it depends on, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.health.events import NatsComponent
from chronicle_ledger.health.health import PATIENCE, UNTOLD, WARM_UP, Health

OK = {"status": "ok"}
DOWN = {"status": "down", "servers": []}
UNKNOWN = {"status": "degraded", "error": "nobody knows"}
ONE_AWAY = {"status": "degraded", "nodes_live": 2}


class Told:
    """A component that says these things, one a look, and goes on with the last."""

    vital = False

    def __init__(self, name: str, *findings: Mapping[str, Any]) -> None:
        self.name, self._findings, self.looks = name, findings, 0

    async def probe(self) -> Mapping[str, Any]:
        self.looks += 1
        return self._findings[min(self.looks, len(self._findings)) - 1]


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        sleep = asyncio.sleep

        async def passes(seconds: float) -> None:
            self.now += seconds
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", passes)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_it_is_ready_at_once_where_everything_has_been_heard_of(clock: Clock) -> None:
    assert await Health([Told("nats", OK), Told("database", ONE_AWAY)], {}, clock=clock).early_reason() is None
    assert clock.now == 100.0


@pytest.mark.parametrize("first", [DOWN, UNKNOWN])
async def test_what_is_not_heard_of_at_the_first_look_is_waited_for(clock: Clock, first: Mapping[str, Any]) -> None:
    late = Told("late", first, first, OK)
    assert await Health([Told("nats", OK), late], {}, clock=clock).early_reason() is None
    assert late.looks == 3
    assert clock.now < 100.0 + PATIENCE


async def test_what_stays_away_is_named_until_the_first_seconds_are_over(clock: Clock) -> None:
    late = Health([Told("nats", DOWN), Told("relay", OK), Told("read_model", UNKNOWN)], {}, clock=clock)
    reason = await late.early_reason()
    assert reason == "just started, not heard of yet: nats, read_model"
    assert clock.now == pytest.approx(100.0 + PATIENCE, abs=0.2), "one question waits no longer"
    clock.now = 100.0 + WARM_UP
    assert await late.early_reason() is None


async def test_an_outage_after_the_first_word_is_no_reason_against_work(clock: Clock) -> None:
    seen = Health([Told("nats", OK, DOWN)], {}, clock=clock)
    assert await seen.early_reason() is None
    clock.now += 2.0
    assert (await seen.report())["components"]["nats"]["status"] == "down"
    assert await seen.early_reason() is None


class Failing:
    """A component whose driver says more than everybody should know."""

    name, vital = "database", True

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def probe(self) -> Mapping[str, Any]:
        raise self._error


async def test_what_a_driver_says_is_for_the_log_and_not_for_those_who_ask_without_a_key() -> None:
    secret = 'connection to "db.internal" (10.1.2.3), user "ledger" failed'
    health = Health([Failing(OSError(secret))], {})
    report = await health.report()
    assert report["components"]["database"] == {"status": "down", "error": UNTOLD}
    assert await health.vital_reason() == f"database: {UNTOLD}"


async def test_what_the_ledger_says_itself_is_told() -> None:
    report = await Health([Failing(DatabaseUnavailable("The database does not answer."))], {}).report()
    assert report["components"]["database"]["error"] == "The database does not answer."


async def test_a_nats_server_is_told_by_its_number_and_not_by_its_address() -> None:
    finding = await NatsComponent(["nats://user:secret@127.0.0.1:1", "nats://127.0.0.1:2"]).probe()
    assert finding == {
        "status": "down", "servers": [{"server": 1, "status": "down"}, {"server": 2, "status": "down"}]
    }  # fmt: skip


class Hangs:
    """A component that never answers."""

    def __init__(self, name: str, *, vital: bool) -> None:
        self.name, self.vital = name, vital

    async def probe(self) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_components_that_never_answer_are_down_in_two_seconds_all_together() -> None:
    async with asyncio.timeout(2):
        report = await Health(
            [Hangs("database", vital=True), Hangs("nats", vital=False), Told("relay", OK)], {}
        ).report()
    assert report["status"] == "down"
    assert {name: it["status"] for name, it in report["components"].items()} == {
        "database": "down", "nats": "down", "relay": "ok",
    }  # fmt: skip
