"""What falls behind under a fault comes back whole: the read model's lag, and under-replicated ranges."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.clock import seconds
from chronicle_chaos.verdict import CheckResult
from chronicle_chaos.workload import LOAD_BALANCER


@dataclass(frozen=True, slots=True)
class LagGrowsAndReturns:
    """Under the fault `/health` says that the read model is behind, and by how much; at the end it is not."""

    name: str = "lag"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the samples through the load balancer and by the final one."""
        times = case.timeline
        under = [
            o.answered["lag_events"]
            for o in case.history.health
            if o.target == LOAD_BALANCER and times.under_fault(o.invoked_ns) and "lag_events" in o.answered
        ]
        if not under:
            raise CannotTell("no sample under the fault said how far the read model was behind")
        last = case.reads.lag_events
        problems = []
        if max(under) == 0:
            problems.append("the fault did not show in the lag, which stayed at 0 events")
        if last is None:
            raise CannotTell("nobody said how far the read model was behind at the end")
        if last != 0:
            problems.append(f"the read model is still {last} events behind")
        if case.reads.backlog:
            problems.append(f"{case.reads.backlog} events are still in the outbox")
        return conclude(
            self.name, problems, f"the lag grew to {max(under)} events and returned to 0", largest=max(under), last=last
        )


@dataclass(frozen=True, slots=True)
class Replication:
    """With a node away ranges are under-replicated or a node counts as dead; before the recovery deadline every node
    lives and every range is whole again."""

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
        whole = next(
            (
                o
                for o in after
                if o.answered["nodes_live"] == o.answered["nodes_total"] and o.answered.get("underreplicated") == 0
            ),
            None,
        )
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
