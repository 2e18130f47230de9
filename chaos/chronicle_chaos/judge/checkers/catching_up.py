"""What falls behind under a fault comes back whole: the read model's lag, and under-replicated ranges."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record import figures
from chronicle_chaos.record.clock import seconds
from chronicle_chaos.record.history import Operation


@dataclass(frozen=True, slots=True)
class LagGrowsAndReturns:
    """Under the fault `/health` says that the read model is behind, and by how much; at the end it is not.

    By how much: each accepted write is one event, so the lag must have grown, over its largest value before the fault,
    by at least `share` of the writes that were accepted under it. Not by all of them: the largest sample is up to two
    seconds old, and what was accepted since is not in it.
    """

    share: float = 0.5
    name: str = "lag"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the samples through the load balancer and by the final one."""
        times = case.timeline
        samples = [o for o in case.history.health if o.target == LOAD_BALANCER and "lag_events" in o.answered]
        under = [o.answered["lag_events"] for o in samples if times.under_fault(o.invoked_ns)]
        if not under:
            raise CannotTell("no sample under the fault said how far the read model was behind")
        before = [
            o.answered["lag_events"]
            for o in samples
            if times.baseline_from is not None
            and times.inject_asked is not None
            and times.baseline_from <= o.invoked_ns < times.inject_asked
        ]
        if not before:
            raise CannotTell("no sample before the fault said how far the read model was behind")
        accepted = sum(times.under_fault(t) for t in figures.accepted_writes(case.history))
        if not accepted:
            raise CannotTell("no write was accepted under the fault, so there was nothing to fall behind with")
        last = case.reads.lag_events
        if last is None:
            raise CannotTell("nobody said how far the read model was behind at the end")
        grown = max(under) - max(before)
        problems = []
        if grown < self.share * accepted:
            problems.append(
                f"the fault did not show in the lag: at most {max(under)} events, {max(before)} before, while"
                f" {accepted} writes were accepted"
            )
        if last != 0:
            problems.append(f"the read model is still {last} events behind")
        if case.reads.backlog:
            problems.append(f"{case.reads.backlog} events are still in the outbox")
        return conclude(
            self.name, problems, f"the lag grew to {max(under)} events and returned to 0",
            largest=max(under), last=last, largestBefore=max(before), acceptedUnderFault=accepted,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replication:
    """With a node away ranges are under-replicated or a node counts as dead; before the recovery deadline every node
    lives and every range is whole again, and stays so to the last sample."""

    name: str = "replication"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the samples through the load balancer."""
        times = case.timeline
        samples = [o for o in case.history.health if o.target == LOAD_BALANCER and "nodes_live" in o.answered]
        under = [o.answered for o in samples if times.under_fault(o.invoked_ns)]
        after = [o for o in samples if times.heal_asked is not None and o.invoked_ns > times.heal_asked]
        if not under or not after or times.heal_asked is None:
            raise CannotTell(f"{len(under)} samples under the fault and {len(after)} after it are too few")
        live = min(a["nodes_live"] for a in under)
        total = under[0]["nodes_total"]
        most = max(a.get("underreplicated", 0) for a in under)
        problems = []
        if live >= total and most == 0:
            problems.append("neither a missing node nor an under-replicated range was seen under the fault")
        whole: Operation | None = None
        for o in after:
            if (found := _whole(o)) is not None:
                whole = (whole or o) if found else None
        took = None if whole is None else seconds(whole.invoked_ns - times.heal_asked)
        if took is None or took > case.recovery_seconds:
            last = after[-1].answered
            problems.append(
                f"{last['nodes_live']} of {last['nodes_total']} nodes live and {last.get('underreplicated')} ranges"
                f" under-replicated {case.recovery_seconds:g} s after healing began"
            )
        return conclude(
            self.name, problems, f"{live} of {total} nodes under the fault, whole {took or 0:.1f} s after",
            nodesUnderFault=live, underreplicated=most,
            wholeAfterMilliseconds=None if took is None else int(took * 1000),
        )  # fmt: skip


def _whole(sample: Operation) -> bool | None:
    """Whether every node lives and every range has its replicas; None where the database did not say in time."""
    if sample.answered["nodes_live"] != sample.answered["nodes_total"]:
        return False
    ranges = sample.answered.get("underreplicated")
    return None if ranges is None else bool(ranges == 0)
