"""Whether `/health` told the truth: well before the fault, not well under it, well again after."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.clock import nanoseconds
from chronicle_chaos.history import Operation
from chronicle_chaos.verdict import CheckResult


@dataclass(frozen=True, slots=True)
class HealthSays:
    """What `/health` must say where `where` begins the target (`lb`, or a region's name for its instances).

    Before the fault always `ok`; from `within` seconds after it was proven until it is healed, one of `during`
    (`none` stands for no answer at all); the last word after recovery `ok` again.
    """

    during: frozenset[str]
    where: str = "lb"
    within: float = 5.0
    name: str = "health"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the samples in the history."""
        times = case.timeline
        samples = [o for o in case.history.health if o.target is not None and o.target.startswith(self.where)]
        if (
            times.baseline_from is None
            or times.inject_asked is None
            or times.proven is None
            or times.heal_asked is None
        ):
            raise CannotTell("there was no fault to speak of")
        since, until, heal = times.baseline_from, times.inject_asked, times.heal_asked
        start = times.proven + nanoseconds(self.within)
        before = [o for o in samples if since <= o.invoked_ns and (o.completed_ns or until) < until]
        under = [o for o in samples if start <= o.invoked_ns and (o.completed_ns or heal) < heal]
        unanswered = [o for o in samples if start <= o.invoked_ns < heal and said(o) == "none"]
        # A sample that was under way when the sampler was stopped says nothing.
        after = [
            o
            for o in samples
            if times.recovered is not None and o.invoked_ns >= times.recovered and o.ended_ns is not None
        ]
        if not before or not (under or unanswered):
            raise CannotTell(f"{self.where}: {len(before)} samples before and {len(under)} under the fault are too few")
        problems = [f"{_who(o)} said {said(o)} before the fault" for o in before if said(o) != "ok"]
        looked = under + [o for o in unanswered if o not in under]
        wanted = " or ".join(sorted(self.during))
        problems += [
            f"{_who(o)} said {said(o)} {(o.invoked_ns - times.proven) / 1e9:.1f} s into the fault (true: {wanted})"
            for o in looked
            if said(o) not in self.during
        ]
        if after and said(after[-1]) != "ok":
            problems.append(f"{_who(after[-1])} still said {said(after[-1])} at the end")
        heard = sorted({said(o) for o in looked})
        return conclude(
            self.name, problems, f"{self.where} said {' and '.join(heard)} under the fault, ok before and after",
            before=len(before), during=len(looked), after=len(after),
        )  # fmt: skip


def said(sample: Operation) -> str:
    """The status that a sample brought back, `none` where it brought none."""
    return str(sample.answered.get("status", "none"))


def _who(sample: Operation) -> str:
    return f"/health of {sample.target}"
