"""Figures of a history: counts, latencies, gaps. Every one is derived from the operations, none is kept aside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.history import History, Operation
from chronicle_chaos.record.timeline import timeline


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without an accepted write: from `start_ns` (since the run began) for `nanoseconds`."""

    start_ns: int
    nanoseconds: int


def accepted_writes(history: History) -> list[int]:
    """When writes through the load balancer were accepted, in nanoseconds since the run began, in order."""
    return sorted(
        o.completed_ns
        for o in history.writes
        if o.outcome == "ok" and o.target == LOAD_BALANCER and o.completed_ns is not None
    )


def longest_gap(history: History) -> Gap | None:
    """The longest time without an accepted write while load was on, its edges included; None without any load."""
    times = timeline(history)
    if times.load_on is None:
        return None
    end = times.load_off if times.load_off is not None else max(e.t_ns for e in history.events)
    # The load's first answers are a matter of warming up; the baseline's beginning is where counting begins.
    begin = times.baseline_from if times.baseline_from is not None else times.load_on
    marks = [begin, *(t for t in accepted_writes(history) if begin <= t <= end), _last_intended(history, end)]
    gaps = [Gap(a, b - a) for a, b in pairwise(marks)]
    return max(gaps, key=lambda gap: gap.nanoseconds)


def _last_intended(history: History, end: int) -> int:
    """Draining takes its time without new writes; that is no gap."""
    asked = [o.intended_ns for o in history.writes if o.target == LOAD_BALANCER and o.intended_ns <= end]
    return max(asked, default=end)


Number = TypeVar("Number", int, float)


def percentile(values: Sequence[Number], share: float) -> Number:
    """The nearest-rank percentile of some values; `share` from 0 to 1. Raises ValueError without any."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies(operations: Iterable[Operation]) -> list[int]:
    """From the intended start to the final answer, in nanoseconds, of what was answered for good."""
    return [o.latency_ns for o in operations if o.latency_ns is not None and o.answered_for_good]


def summary(history: History) -> dict[str, Any]:
    """Counts and latencies (milliseconds) before, during and after the fault, for the journal."""
    times = timeline(history)
    load = [o for o in history.clients if o.target == LOAD_BALANCER and o.process.startswith("client-")]
    counts = Counter(o.outcome for o in load)
    figures: dict[str, Any] = {"requests": len(load), **{name: counts[name] for name in ("ok", "fail", "info")}}
    figures["retried"] = sum(o.answered.get("attempts", 1) > 1 for o in load)
    windows: dict[str, Callable[[int], bool]] = {}
    if times.baseline_from is not None and times.inject_asked is not None:
        since, until = times.baseline_from, times.inject_asked
        windows["baseline"] = lambda t: since <= t < until
    if times.proven is not None:
        windows["fault"] = times.under_fault
    if times.recovered is not None:
        recovered = times.recovered
        windows["recovered"] = lambda t: t >= recovered
    for name, inside in windows.items():
        found = latencies(o for o in load if inside(o.intended_ns))
        if found:
            figures[f"{name}LatencyMilliseconds"] = {
                label: round(percentile(found, share) / 1e6, 1)
                for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            }
    return figures
