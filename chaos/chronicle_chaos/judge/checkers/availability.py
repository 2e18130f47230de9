"""Whether the ledger went on answering: the share that was answered, the longest gap, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record import figures
from chronicle_chaos.record.clock import seconds
from chronicle_chaos.record.history import Operation


@dataclass(frozen=True, slots=True)
class Availability:
    """Of what clients asked through the load balancer while the fault was at work, at least `share` got a final
    answer; no gap without an accepted write was longer than `gap` seconds; at least `accepted` writes were accepted
    under the fault; and steady state came back before the deadline, counted from when healing was asked for."""

    share: float
    gap: float
    accepted: int = 10
    name: str = "availability"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge. A refusal with a business reason is an answer; an unknown outcome is none."""
        times = case.timeline
        asked = [o for o in case.through_load_balancer if times.under_fault(o.intended_ns)]
        if not asked:
            raise CannotTell("nothing was asked while the fault was at work")
        answered = sum(o.answered_for_good for o in asked)
        accepted = sum(times.under_fault(t) for t in figures.accepted_writes(case.history))
        gap = figures.longest_gap(case.history)
        longest = 0.0 if gap is None else seconds(gap.nanoseconds)
        share = answered / len(asked)
        problems = []
        if share < self.share:
            problems.append(f"{answered} of {len(asked)} requests were answered ({share:.1%}, wanted {self.share:.1%})")
        if accepted < self.accepted:
            problems.append(f"{accepted} writes were accepted under the fault (wanted at least {self.accepted})")
        if longest > self.gap:
            problems.append(f"no write was accepted for {longest:.1f} s (allowed: {self.gap:g} s)")
        recovery = seconds(times.recovery_ns) if times.recovery_ns is not None else None
        if recovery is None:
            problems.append(f"steady state was not reached again within {case.recovery_seconds:g} s of healing")
        elif recovery > case.recovery_seconds:
            problems.append(
                f"steady state came back {recovery:.1f} s after healing was asked for"
                f" (allowed: {case.recovery_seconds:g} s)"
            )
        return conclude(
            self.name, problems,
            f"{share:.1%} answered, longest gap {longest:.1f} s, steady {recovery or 0:.1f} s after healing began",
            asked=len(asked), answered=answered, permille=int(share * 1000), acceptedUnderFault=accepted,
            longestGapMilliseconds=int(longest * 1000),
            recoveryMilliseconds=None if recovery is None else int(recovery * 1000),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NoFinalFailure:
    """No client that went on trying was left without an answer, over the whole scenario; and the fault did get in the
    way of one: some request that was under way between the injection and healing was sent more than once, by its
    client or by the load balancer. Crashes between two requests prove nothing."""

    name: str = "no-final-failure"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by every request through the load balancer, retries counted as one."""
        asked = case.through_load_balancer
        if not asked:
            raise CannotTell("nothing was asked through the load balancer")
        left = [o for o in asked if not o.answered_for_good]
        problems = [
            f"{o.f} {o.key or o.asked.get('account_id')} was never answered: {o.error or o.status}" for o in left
        ]
        repeated = [o for o in asked if o.sent_again]
        interrupted = sum(_under_way(o, case) for o in repeated)
        if not interrupted and not problems:
            raise CannotTell(
                f"the fault interrupted none of {len(asked)} requests: each that was under way was answered at the"
                " first attempt"
            )
        return conclude(
            self.name, problems,
            f"all {len(asked)} requests were answered, {interrupted} of them after the fault had interrupted them",
            asked=len(asked), retried=len(repeated), interrupted=interrupted,
        )  # fmt: skip


def _under_way(o: Operation, case: Case) -> bool:
    """Whether the request was under way at some moment between the injection's beginning and healing."""
    began, heal = case.timeline.inject_asked, case.timeline.heal_asked
    return (
        began is not None
        and (o.ended_ns is None or o.ended_ns >= began)
        and (heal is None or o.invoked_ns < heal)
    )  # fmt: skip
