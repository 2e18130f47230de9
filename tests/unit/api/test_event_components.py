"""What /health says of NATS, the outbox and the read model: what is so, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import ClusterInfo, PeerInfo
from nats.js.errors import NotFoundError

from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.lag import UNKNOWN, Lag
from chronicle_ledger.health import events
from chronicle_ledger.health.events import NatsComponent, ReadModelComponent, RelayComponent
from chronicle_ledger.store.outbox import Waiting

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def reading(lag: Lag) -> Any:
    """What a component reads the lag from."""

    async def read() -> Lag:
        return lag

    return SimpleNamespace(lag=SimpleNamespace(read=read))


async def relay(lag: Lag) -> Mapping[str, Any]:
    return await RelayComponent(reading(lag), 60.0).probe()


async def read_model(lag: Lag) -> Mapping[str, Any]:
    return await ReadModelComponent(reading(lag), 10_000).probe()


async def test_an_event_that_nothing_projects_degrades_the_read_model_after_half_a_minute() -> None:
    assert (await read_model(Lag(0, 0.0, 10, 29.0)))["status"] == "ok"
    late = await read_model(Lag(0, 0.0, 10, 31.0))
    assert (late["status"], late["lag_events"], late["lag_seconds"]) == ("degraded", 10, 31.0)
    assert "chronicle serve projector" in late["error"]
    paused = await read_model(Lag(0, 0.0, 10, 31.0, standstill="consumer projector is paused"))
    assert paused["error"].endswith("consumer projector is paused")


async def test_an_event_that_waits_in_the_outbox_degrades_the_read_model_too() -> None:
    assert (await read_model(Lag(1, 31.0, 0, 31.0)))["status"] == "degraded"


async def test_what_could_not_be_counted_is_said_to_be_unknown() -> None:
    for found in (await relay(UNKNOWN), await read_model(UNKNOWN)):
        assert found == {"status": "degraded", "error": events.NOT_MEASURED}


async def test_a_database_that_answers_too_late_for_a_few_seconds_leaves_the_last_lag_in_force() -> None:
    clock = SimpleNamespace(now=100.0)
    measured = [Lag(2, 0.5, 3, 0.7)]

    async def read() -> Lag:
        return measured.pop(0) if measured else UNKNOWN

    for kind, limit in ((RelayComponent, 60.0), (ReadModelComponent, 10_000)):
        measured[:] = [Lag(2, 0.5, 3, 0.7)]
        component = kind(SimpleNamespace(lag=SimpleNamespace(read=read)), limit, lambda: clock.now)  # type: ignore[arg-type]
        known = await component.probe()
        assert known["status"] == "ok"
        clock.now += 10.0
        assert await component.probe() == known
        clock.now += 0.1
        assert await component.probe() == {"status": "degraded", "error": events.NOT_MEASURED}


async def test_an_event_that_waits_for_longer_than_it_may_degrades_the_relay_and_says_where_to_look() -> None:
    assert (await relay(Lag(1, 59.9, 0, 59.9)))["status"] == "ok"
    late = await relay(Lag(1, 60.0, 0, 60.0))
    assert (late["status"], late["backlog"], late["oldest_seconds"]) == ("degraded", 1, 60.0)
    assert "waited for 60 s" in late["error"]
    assert "/readyz" in late["error"]


async def test_a_count_that_ended_early_is_the_least_that_it_can_be() -> None:
    lag = Lag(10_000, 5.0, 3, 5.0, more=True)
    assert await relay(lag) == {"status": "ok", "backlog": 10_000, "oldest_seconds": 5.0, "at_least": True}
    found = await read_model(lag)
    assert (found["status"], found["lag_events"], found["at_least"]) == ("degraded", 10_003, True)


async def test_an_event_that_is_too_large_is_named() -> None:
    large = Waiting(3, UUID(int=7), 100_000, NOW)
    found = await relay(Lag(1, 1.0, 0, 1.0, too_large=[large]))
    assert found["status"] == "degraded"
    assert f"transaction {UUID(int=7)} (100,000 bytes)" in found["error"]


class Js:
    """JetStream that says this of the stream, and has these other streams on its subjects."""

    _prefix = "$JS.API"
    _timeout = 1.0

    def __init__(self, says: Any, *takers: str) -> None:
        self._says = says
        self._takers = takers

    async def stream_info(self, stream: str) -> Any:
        del stream
        if isinstance(self._says, Exception):
            raise self._says
        return SimpleNamespace(cluster=self._says)

    async def _api_request(self, subject: str, request: bytes, timeout: float) -> Any:  # noqa: ASYNC109 - as nats-py
        del request, timeout
        assert subject == "$JS.API.STREAM.NAMES"
        return {"streams": list(self._takers)}


async def nats(monkeypatch: pytest.MonkeyPatch, js: Js | None) -> Mapping[str, Any]:
    """What is said where all servers answer."""

    async def answers(_: str) -> bool:
        return True

    def jetstream(_: float) -> Js:
        if js is None:
            raise BusUnavailable("NATS cannot be reached")
        return js

    monkeypatch.setattr(events, "_answers", answers)
    bus = Bus({}, "test")
    monkeypatch.setattr(bus, "jetstream", jetstream)
    return await NatsComponent(["nats://one:4222"], bus).probe()


def cluster(leader: str | None, *away: str) -> Any:
    return ClusterInfo(leader, replicas=[copy("n0"), *(PeerInfo(name, current=False, offline=True) for name in away)])


def copy(name: str, silent: float = 0.4, *, current: bool = True) -> PeerInfo:
    """What a leader says of a copy of which it has last heard so many seconds ago."""
    return PeerInfo(name, current=current, active=int(silent * 1e9))


async def test_servers_that_answer_are_not_enough_without_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await nats(monkeypatch, Js(cluster("n1"))))["status"] == "ok"
    assert (await nats(monkeypatch, Js(None)))["status"] == "ok", "one server alone has no cluster"
    assert (await nats(monkeypatch, Js(ClusterInfo("n1", replicas=[copy("n0"), copy("n2", 9.9)]))))["status"] == "ok"
    for js, words in (
        (Js(NotFoundError()), "chronicle reconcile"),
        (Js(NotFoundError(), "AUDIT"), "belong to another stream now (AUDIT)"),
        (Js(NatsTimeout()), "chronicle events restore-stream"),
        (Js(cluster(None)), "no leader"),
        (Js(cluster("n1", "n2")), "lacks its copies on n2"),
        (Js(ClusterInfo("n1", replicas=[copy("n0"), copy("n2", 13.0)])), "lacks its copies on n2. Of n2 JetStream"),
        (Js(ClusterInfo(replicas=[copy("n0", 0.0, current=False), copy("n2")])), "then restart that server"),
        (Js(ClusterInfo(replicas=[copy("n0"), copy("n2")])), "chronicle events restore-stream"),
    ):
        found = await nats(monkeypatch, js)
        assert (found["status"], words in found["stream"]) == ("degraded", True), found
    lost = await nats(monkeypatch, None)
    assert (lost["status"], lost["error"]) == ("degraded", "NATS cannot be reached")
