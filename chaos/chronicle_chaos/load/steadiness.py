"""Steady state: nearly everything that clients ask is answered soon, and the ledger says of itself that it is well.

The same question is asked before a fault (not met: nothing is injected) and after it (met: recovered).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.clock import nanoseconds
from chronicle_chaos.record.history import Event, pair


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Over the last `window` seconds that ended `settle` seconds ago: at least `share` of the requests were answered
    within `settle` seconds of their intended start, there were at least `least` of them, and `/health` says ok."""

    window: float = 3.0
    settle: float = 2.0
    share: float = 0.97
    least: int = 5

    @property
    def look_back(self) -> float:
        """How many seconds after it began steady state can be seen at the earliest."""
        return self.window + self.settle

    def missing(self, events: Iterable[Event], now_ns: int, health: Mapping[str, Any]) -> str | None:
        """What keeps this moment from being steady, in words; None where nothing does."""
        until = now_ns - nanoseconds(self.settle)
        since = until - nanoseconds(self.window)
        asked = answered = late = 0
        for operation in pair(_recent(events, since)):
            if operation.target != LOAD_BALANCER or operation.f == "health":
                continue
            if not since <= operation.intended_ns < until:
                continue
            asked += 1
            soon = operation.latency_ns is not None and operation.latency_ns <= nanoseconds(self.settle)
            answered += int(operation.answered_for_good and soon)
            late += operation.invoked_ns - operation.intended_ns > nanoseconds(self.settle) / 2
        if asked < self.least:
            return f"{asked} requests in {self.window:g} s are too few to tell (load: at least {self.least})"
        if answered < self.share * asked:
            own = (
                f"; {late} were sent over {self.settle / 2:g} s late, by a load generator that is too busy"
                if late
                else ""
            )
            wanted = f"(wanted: {self.share:.0%})"
            return f"{answered} of {asked} requests were answered within {self.settle:g} s {wanted}{own}"
        status = health.get("status", "nothing")
        if status != "ok":
            return f"/health says {status}{_why(health)}"
        return None


def _recent(events: Iterable[Event], since_ns: int) -> list[Event]:
    """Events from which operations intended since then can be paired (an invocation is never before its intention)."""
    return [e for e in events if e.t_ns >= since_ns]


def _why(health: Mapping[str, Any]) -> str:
    interesting = ("database", "nodes_live", "nodes_total", "underreplicated", "nats", "backlog", "lag_events")
    facts = ", ".join(f"{name} {health[name]}" for name in interesting if name in health)
    return f" ({facts})" if facts else ""
