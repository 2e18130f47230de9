"""What the operator costs while nothing happens: measured once a young database has settled its ranges."""

from __future__ import annotations

import time

from .machine import Object, until
from .world import Ledger, World


def test_an_idle_operator_costs_next_to_nothing(first: Ledger, world: World) -> None:
    """Memory ≤ 120 MiB, CPU ≤ 2 % of a core, and the API calls of an idle minute, from the operator's own counters."""
    for _ in range(3):
        unchanged_for(first, 5)
        seen, before = first.object(), world.operator_metrics()
        after, minutes = a_minute_later(world)
        now = first.object()
        if now["metadata"]["resourceVersion"] == seen["metadata"]["resourceVersion"]:
            break
        # Something happened to the ledger, so it was no idle minute: CockroachDB splits ranges when it sees fit.
        World.figures["status changed in a minute meant to be idle"] = changes(seen["status"], now["status"])
    memory = after["process_resident_memory_bytes"] / 2**20
    cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / (60 * minutes) * 100
    requests = {
        key: value - before.get(key, 0.0)
        for key, value in after.items()
        if key.startswith("chronicle_operator_api_requests_total")
    }
    writes = {
        key: value for key, value in requests.items() if value and 'verb="list"' not in key and 'verb="get"' not in key
    }
    World.figures["operator memory, MiB"] = f"{memory:.0f}"
    World.figures["operator idle CPU, % of a core"] = f"{cpu:.2f}"
    World.figures["API calls an idle minute (one ledger)"] = f"{sum(requests.values()) / minutes:.0f}"
    assert memory <= 120
    assert cpu <= 2
    assert not writes, f"an idle operator writes: {writes}"


def a_minute_later(world: World) -> tuple[dict[str, float], float]:
    """The operator's counters when a minute has passed, and how many minutes it was."""
    began = time.monotonic()
    until("a minute has passed", lambda: time.monotonic() - began >= 60, seconds=90, pause=1)
    return world.operator_metrics(), (time.monotonic() - began) / 60


def changes(before: Object, after: Object) -> str:
    """The parts of a status that differ, in one line."""
    return "; ".join(f"{key}: {before.get(key)} -> {after.get(key)}" for key in {*before, *after}
                     if before.get(key) != after.get(key))  # fmt: skip


def unchanged_for(ledger: Ledger, seconds: float) -> None:
    """Wait until nobody has written the resource for so long."""
    seen, since = "", time.monotonic()

    def still() -> bool:
        nonlocal seen, since
        version = ledger.object()["metadata"]["resourceVersion"]
        if version != seen:
            seen, since = version, time.monotonic()
        return time.monotonic() - since >= seconds

    until(f"{ledger.name} has been left alone for {seconds:g} s", still, seconds=120)
