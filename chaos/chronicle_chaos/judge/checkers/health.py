"""Whether `/health` told the truth: well before the fault, not well under it, well again after."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers import stalls
from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.clock import nanoseconds
from chronicle_chaos.record.history import Operation

SEVERITY = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True)
class HealthSays:
    """What `/health` must say where `where` begins the target (`lb`, or a region's name for its instances).

    Before the fault always `ok`. Under it, from `within` seconds after it was proven until it is healed, one of
    `during` (`none` stands for no answer at all), and from `notices` seconds on (by default: `within`) anything but
    `ok`: between the two a stall may be reported as what it is, but not denied. After recovery the last word of each
    target is `ok` again.

    `blames` names the component (`database`, `nats`) that has to be the reason: not `ok` itself in each report that is
    judged by `during`. With `counts_missing` such a report must also count what is missing, a node or replicas of
    ranges, where it counts both: a pod that is killed again and again is alive in between, and then its ranges tell.

    A report that is worse than what it must say is true all the same where it tells of a stall that clients felt in
    their own requests (see `stalls`); it is counted as `stalls`.
    """

    during: frozenset[str]
    where: str = "lb"
    within: float = 5.0
    notices: float | None = None
    blames: str = ""
    counts_missing: bool = False
    name: str = "health"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the samples in the history."""
        times = case.timeline
        samples = [o for o in case.history.health if o.target is not None and o.target.startswith(self.where)]
        since, until, proven, heal = times.baseline_from, times.inject_asked, times.proven, times.heal_asked
        if since is None or until is None or proven is None or heal is None:
            raise CannotTell("there was no fault to speak of")
        start = proven + nanoseconds(self.within)
        notice = proven + nanoseconds(self.within if self.notices is None else self.notices)
        before = [o for o in samples if since <= o.invoked_ns and o.ended_ns is not None and o.ended_ns < until]
        under = [o for o in samples if proven <= o.invoked_ns < heal and _was_under(o, heal)]
        looked = [o for o in under if o.invoked_ns >= start]
        if not before or not looked:
            raise CannotTell(
                f"{self.where}: {len(before)} samples before and {len(looked)} under the fault are too few"
            )
        problems = [f"{_who(o)} said {said(o)} before the fault" for o in before if said(o) != "ok"]
        wanted = " or ".join(sorted(self.during))
        denies = [o for o in under if notice <= o.invoked_ns < start and said(o) == "ok" and "ok" not in self.during]
        unexpected = [o for o in looked if said(o) not in self.during]
        stalled = [o for o in unexpected if self._worse(o) and stalls.felt(case.history, o)]
        wrong = [o for o in unexpected if o not in stalled]
        problems += [
            f"{_who(o)} said {said(o)} {(o.invoked_ns - proven) / 1e9:.1f} s into the fault (true: {wanted})"
            for o in denies + wrong
        ]
        problems += [
            f"{_who(o)} said {said(o)} for another reason: {reason}"
            for o in looked
            if said(o) in self.during and (reason := self._another_reason(o))
        ]
        # A sample that was under way when the sampler was stopped says nothing.
        after = [
            o
            for o in samples
            if times.recovered is not None and o.invoked_ns >= times.recovered and o.ended_ns is not None
        ]
        last = {o.target: o for o in after}
        problems += [f"{_who(o)} still said {said(o)} at the end" for o in last.values() if said(o) != "ok"]
        if not after and not problems:
            raise CannotTell(f"{self.where}: no sample after recovery, so nobody knows what it said then")
        heard = sorted({said(o) for o in looked if o not in stalled})
        if not heard and not problems:
            raise CannotTell(f"{self.where}: all {len(looked)} samples under the fault told of a stall of the database")
        also = f", {len(stalled)} times worse during stalls that clients felt too" if stalled else ""
        return conclude(
            self.name, problems, f"{self.where} said {' and '.join(heard)} under the fault, ok before and after{also}",
            before=len(before), during=len(looked), after=len(after), stalls=len(stalled),
        )  # fmt: skip

    def _worse(self, sample: Operation) -> bool:
        """Whether it said something worse than anything that is wanted."""
        return SEVERITY.get(said(sample), 0) > max(SEVERITY.get(it, 2) for it in self.during)

    def _another_reason(self, sample: Operation) -> str:
        """Why this report's status is no word about the fault, in words; empty where it is one."""
        if said(sample) in {"none", "ok"}:
            return ""
        told = sample.answered
        if self.blames and told.get(self.blames, "ok") == "ok":
            return f"{self.blames} is {told.get(self.blames, 'not mentioned')}"
        if self.counts_missing and told.get("underreplicated") == 0 and told["nodes_live"] == told["nodes_total"]:
            return f"all {told['nodes_total']} nodes live and no range lacks a replica"
        return ""


def _was_under(sample: Operation, heal_ns: int) -> bool:
    """Whether the sample saw nothing but the fault; one that nobody answered did, however long one waited for it."""
    return said(sample) == "none" or (sample.ended_ns is not None and sample.ended_ns < heal_ns)


def said(sample: Operation) -> str:
    """The status that a sample brought back, `none` where it brought none."""
    return str(sample.answered.get("status", "none"))


def _who(sample: Operation) -> str:
    return f"/health of {sample.target}"
