"""Whether the fault made clients wait."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record import figures
from chronicle_chaos.record.clock import seconds
from chronicle_chaos.record.history import Operation


@dataclass(frozen=True, slots=True)
class Latency:
    """The 99th percentile of writes under the fault is at most `factor` times the baseline's, where a baseline under
    `least` seconds counts as `least`: below that, noise of the machine is larger than any effect.

    A write that was never answered took for ever. One that was refused for a business reason is left out: refusing is
    quicker than posting, and would only flatter.

    The default of `least`: a baseline has about a hundred writes, so its p99 is its slowest one or two, and on two
    cores with a whole cluster on them a pause of a tenth of a second that hits neither is nothing unusual. What the
    check is there for, a writer that waits for something that is gone, waits for time-outs of a second and more.

    Latency counts from the intended start. The loop is open and has as many clients as it needs, so a request that
    leaves late was kept by the load generator itself: where only that made the difference, nobody can tell.
    """

    factor: float = 2.0
    least: float = 0.15
    samples: int = 50
    name: str = "latency"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge, from the intended start of each request."""
        times = case.timeline
        if times.baseline_from is None or times.inject_asked is None or times.proven is None:
            raise CannotTell("there is no baseline or no fault to compare it with")
        writes = [o for o in case.history.writes if o.target == LOAD_BALANCER]
        since, until = times.baseline_from, times.inject_asked
        before = [t for o in writes if since <= o.intended_ns < until and (t := _seconds(o)) is not None]
        faulty = [o for o in writes if times.under_fault(o.intended_ns)]
        under = [t for o in faulty if (t := _seconds(o)) is not None]
        if min(len(before), len(under)) < self.samples:
            raise CannotTell(f"{len(before)} and {len(under)} samples are too few (wanted: {self.samples} each)")
        baseline, now = figures.percentile(before, 0.99), figures.percentile(under, 0.99)
        if math.isinf(baseline):
            raise CannotTell(f"{before.count(math.inf)} of {len(before)} writes were never answered before the fault")
        limit = self.factor * max(baseline, self.least)
        late = figures.percentile([seconds(o.invoked_ns - o.intended_ns) for o in faulty], 0.99)
        sent = [t for o in faulty if (t := _seconds(o, o.invoked_ns)) is not None]
        if now > limit and figures.percentile(sent, 0.99) <= limit:
            raise CannotTell(
                f"p99 of writes was {now:.3f} s under the fault (limit {limit:.3f} s), but the load generator sent them"
                f" up to {late:.3f} s late; run it on a machine with less beside it, or at a lower rate"
            )
        problems = []
        if math.isinf(now):
            problems.append(f"{under.count(math.inf)} of {len(under)} writes were never answered under the fault")
        elif now > limit:
            problems.append(
                f"p99 of writes was {now:.3f} s under the fault, {baseline:.3f} s before (limit {limit:.3f} s)"
            )
        return conclude(
            self.name, problems, f"p99 of writes {now * 1000:.0f} ms under the fault, {baseline * 1000:.0f} ms before",
            baselineMilliseconds=round(baseline * 1000, 1),
            faultMilliseconds=None if math.isinf(now) else round(now * 1000, 1),
            generatorLatenessMilliseconds=round(late * 1000, 1),
        )  # fmt: skip


def _seconds(write: Operation, since_ns: int | None = None) -> float | None:
    """From `since_ns` (by default the intended start) to the acknowledgement; infinite without an answer, None for a
    refusal."""
    if not write.answered_for_good or write.ended_ns is None:
        return math.inf
    began = write.intended_ns if since_ns is None else since_ns
    return seconds(write.ended_ns - began) if write.outcome == "ok" else None
