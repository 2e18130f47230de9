"""A recorded run for the tests of the report: drawn once from a seed, in the very form that the engine writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec

from chronicle_chaos.record import timeline as moments
from chronicle_chaos.record.clock import nanoseconds, rfc3339
from chronicle_chaos.record.history import NEMESIS, Event
from chronicle_chaos.record.journal import (
    CheckRecord,
    CleanupRecord,
    EvidenceRecord,
    FaultWindow,
    Journal,
    PhaseRecord,
    ScenarioRecord,
    TargetRecord,
    write_journal,
)

STARTED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RATE = 8
PROVED = SHOWN = True
LOAD_SECONDS, INJECT, PROVEN, HEAL, HEALED, STEADY = 24, 6.0, 6.4, 14.0, 14.5, 17.0


def write_recorded_run(folder: Path) -> None:
    """Write `journal.json` and `history.jsonl`: a scenario each passed, failed, inconclusive, not applicable."""
    rng = Random(20260301)
    events: list[Event] = []
    _play(events, rng, "nats-outage", 0.0, stall=0.0)
    _play(events, rng, "network-partition", 30.0, stall=5.0)
    events.sort(key=lambda e: e.t_ns)
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(replace(e, i=n)) for n, e in enumerate(events)]
    (folder / "history.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    write_journal(folder, _journal())


def _play(events: list[Event], rng: Random, scenario: str, begin: float, stall: float) -> None:
    """The load of one scenario; for `stall` seconds after the fault was proven every answer waits for its end."""

    def nemesis(second: float, type_: str, f: str, **value: object) -> None:
        t = nanoseconds(begin + second)
        events.append(Event(0, t, scenario, NEMESIS, type_, f, value=dict(value)))  # type: ignore[arg-type]

    nemesis(0, "invoke", moments.LOAD, rate=RATE)
    nemesis(INJECT - 0.1, "ok", moments.STEADY, since_ns=nanoseconds(begin + 2))
    nemesis(INJECT, "invoke", moments.INJECT)
    nemesis(INJECT + 0.2, "ok", moments.INJECT)
    nemesis(PROVEN, "ok", moments.PROVE)
    nemesis(HEAL, "invoke", moments.HEAL)
    nemesis(HEALED, "ok", moments.HEAL)
    nemesis(STEADY + 3, "ok", moments.RECOVERED, since_ns=nanoseconds(begin + STEADY))
    nemesis(LOAD_SECONDS, "ok", moments.LOAD)
    for second in range(LOAD_SECONDS):
        t = nanoseconds(begin + second + 0.05)
        down = PROVEN < second < HEALED and not stall
        lag = round((second - PROVEN) * RATE) if down else 0
        key, value = str(second), {"status": "degraded" if down else "ok", "lag_events": lag}
        events.append(Event(0, t, scenario, "health-lb", "invoke", "health", key, {}, "lb"))
        events.append(Event(0, t + 2_000_000, scenario, "health-lb", "ok", "health", key, value, "lb", 200))
    for number in range(LOAD_SECONDS * RATE - RATE):
        intended = number / RATE
        latency = 0.004 + rng.expovariate(1 / 0.003)
        outcome, status = ("fail", 409) if rng.random() < 0.04 else ("ok", 201)
        if stall and PROVEN <= intended < PROVEN + stall:
            latency += PROVEN + stall - intended
            if rng.random() < 0.3:
                outcome, status = "info", 503
        began, ended = nanoseconds(begin + intended), nanoseconds(begin + intended + latency)
        process, key = f"client-{number}", f"{scenario}/{number}"
        events.append(Event(0, began, scenario, process, "invoke", "transfer", key, {}, "lb", intended_ns=began))
        events.append(Event(0, ended, scenario, process, outcome, "transfer", key, {}, "lb", status))  # type: ignore[arg-type]
    if stall:
        for number in range(8):
            for region, status in (("region-a", 201), ("region-b", 503)):
                began = nanoseconds(begin + PROVEN + 0.5 + number * 0.75)
                ended = began + nanoseconds(0.02 if status == 201 else 3.1)
                process, outcome = f"probe-{region}-{number}", "ok" if status == 201 else "info"
                target = f"{region}/1"
                events.append(Event(0, began, scenario, process, "invoke", "deposit", process, {}, target))
                events.append(Event(0, ended, scenario, process, outcome, "deposit", process, {}, target, status))  # type: ignore[arg-type]


def _at(second: float) -> str:
    return rfc3339(STARTED + timedelta(seconds=second))


def _window(begin: float) -> FaultWindow:
    return FaultWindow(_at(begin + INJECT), _at(begin + PROVEN), _at(begin + HEALED))


def _phases(begin: float) -> list[PhaseRecord]:
    bounds = [
        ("preflight", -1, 0, ""), ("steady-state", 0, INJECT, "steady"), ("inject", INJECT, INJECT + 0.2, ""),
        ("prove", INJECT + 0.2, PROVEN, "every server of the bus is gone"),
        ("observe", PROVEN, HEAL, "8 s under the fault"),
        ("heal", HEAL, HEALED, ""), ("verify", HEALED, LOAD_SECONDS, "steady"), ("check", LOAD_SECONDS, 24.2, ""),
    ]  # fmt: skip
    return [PhaseRecord(n, _at(begin + a), _at(begin + b), "Succeeded", message) for n, a, b, message in bounds]


def _journal() -> Journal:
    passed = ScenarioRecord(
        "nats-outage", "Every NATS server stops", "Passed", "AllChecksPassed", "all 4 checks passed", "Process",
        "process", PROVED, _at(-1), _window(0), _at(STEADY), _at(24.2), 310, 3000, 178, 0, _phases(0),
        [
            CheckRecord("conservation", "Passed", "9120 minor units in 60 accounts, as the clients count",
                        {"total": 9120, "accounts": 60, "currencyTotal": 0}),
            CheckRecord("durability", "Passed", "all 178 acknowledged writes are there",
                        {"acknowledged": 178, "lost": 0}),
            CheckRecord("availability", "Passed", "100.0% answered, longest gap 0.3 s", {"asked": 61, "answered": 61}),
            CheckRecord("lag", "Passed", "the lag grew to 61 events and returned to 0", {"largest": 61, "last": 0}),
        ],
        [EvidenceRecord("nats-1", "running, pid 412", "gone", SHOWN)],
        figures={"baselineLatencyMilliseconds": {"p50": 6.1, "p95": 12.8, "p99": 17.2, "max": 17.2}},
        cleanup=CleanupRecord("Clean"),
    )  # fmt: skip
    failed = ScenarioRecord(
        "network-partition", "Region A (2 nodes) is cut from region B (1 node)", "Failed", "MinorityRejectsFailed",
        "minority-rejects: region-b/1 accepted 3 writes without a quorum", "Process", "process", PROVED, _at(29),
        _window(30), _at(30 + STEADY), _at(54.2), 5120, 3000, 131, 3, _phases(30),
        [
            CheckRecord("durability", "Failed", "3 of 131 acknowledged writes are missing", {"lost": 3}),
            CheckRecord("minority-rejects", "Failed", "region-b/1 accepted 3 writes without a quorum", {"sent": 8}),
            CheckRecord("health", "Inconclusive", "too few samples under the fault"),
        ],
        [EvidenceRecord("region-a to region-b", "connected", "timed out", SHOWN)],
        cleanup=CleanupRecord("CleanupFailed", "one rule is left; run: docker restart chronicle-api-3"),
    )  # fmt: skip
    inconclusive = ScenarioRecord(
        "api-crash", "API instances are killed with requests under way", "Inconclusive", "SteadyStateNotMet",
        "nothing was injected: /health says degraded", "Process", "process", start_time=_at(55),
        completion_time=_at(60),
        phases=[PhaseRecord("preflight", _at(55), _at(60), "Failed", "/health says degraded")],
    )  # fmt: skip
    absent = ScenarioRecord(
        "cockroach-node-failure", "One of three database nodes is killed", "NotApplicable", "NotApplicable",
        "one PostgreSQL has no second node; install cockroach to get this scenario",
    )  # fmt: skip
    return Journal(
        "20260301T120000Z-golden", _at(-2), TargetRecord("local", "cockroachdb", "http://127.0.0.1:8080"), 7,
        float(RATE),
        {"cockroachdb": "v20.1.17", "nats": "2.12.3"}, None, 1, _at(61), [passed, failed, inconclusive, absent],
    )  # fmt: skip


if __name__ == "__main__":
    import sys

    write_recorded_run(Path(sys.argv[1]))
