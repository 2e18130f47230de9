"""Whether the fault made clients wait."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos import figures
from chronicle_chaos.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.verdict import CheckResult
from chronicle_chaos.workload import LOAD_BALANCER


@dataclass(frozen=True, slots=True)
class Latency:
    """The 99th percentile of accepted writes under the fault is at most `factor` times the baseline's, where a
    baseline under `least` seconds counts as `least`: below that, noise of the machine is larger than any effect."""

    factor: float = 2.0
    least: float = 0.25
    samples: int = 50
    name: str = "latency"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge, from the intended start of each request."""
        times = case.timeline
        if times.baseline_from is None or times.inject_asked is None or times.proven is None:
            raise CannotTell("there is no baseline or no fault to compare it with")
        writes = [o for o in case.history.writes if o.outcome == "ok" and o.target == LOAD_BALANCER]
        since, until = times.baseline_from, times.inject_asked
        before = figures.latencies(o for o in writes if since <= o.intended_ns < until)
        under = figures.latencies(o for o in writes if times.under_fault(o.intended_ns))
        if min(len(before), len(under)) < self.samples:
            raise CannotTell(f"{len(before)} and {len(under)} samples are too few (wanted: {self.samples} each)")
        baseline, now = figures.percentile(before, 0.99) / 1e9, figures.percentile(under, 0.99) / 1e9
        limit = self.factor * max(baseline, self.least)
        problems = []
        if now > limit:
            problems.append(
                f"p99 of writes was {now:.3f} s under the fault, {baseline:.3f} s before (limit {limit:.3f} s)"
            )
        return conclude(
            self.name, problems, f"p99 of writes {now * 1000:.0f} ms under the fault, {baseline * 1000:.0f} ms before",
            baselineMilliseconds=round(baseline * 1000, 1), faultMilliseconds=round(now * 1000, 1),
        )  # fmt: skip
