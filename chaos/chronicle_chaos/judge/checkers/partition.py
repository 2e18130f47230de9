"""Consistency before availability: of two halves, the one with the quorum accepts and the other one says no in time."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.clock import seconds
from chronicle_chaos.record.history import Operation


def probes(case: Case, region: str) -> list[Operation]:
    """Writes sent straight to a region, begun while the fault was at work and ended (if they did) before healing."""
    times = case.timeline
    heal = times.heal_asked
    return [
        o
        for o in case.history.writes
        if o.asked.get("probe") == region
        and times.under_fault(o.invoked_ns)
        and (o.ended_ns is None or heal is None or o.ended_ns <= heal)
    ]


NO_QUORUM = frozenset({"database_unavailable", "deadline_exceeded"})
"""The codes with which the API says that it could not find out in time, and that the outcome is unknown. Any other 503
is somebody else's (a proxy's has no code), or has another reason."""


@dataclass(frozen=True, slots=True)
class MinorityRejects:
    """Each write to the region without quorum is refused by the API itself with 503 and a code of `NO_QUORUM` within
    `deadline` seconds; none is accepted. What was refused so may still be committed after healing (its outcome is
    unknown), but once at most."""

    region: str
    deadline: float = 10.0
    least: int = 5
    name: str = "minority-rejects"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the probes of the region."""
        sent = probes(case, self.region)
        if len(sent) < self.least:
            raise CannotTell(f"{len(sent)} writes to {self.region} are too few (wanted: {self.least})")
        problems, slowest = [], 0.0
        for o in sent:
            took = seconds((o.ended_ns or o.invoked_ns) - o.invoked_ns)
            slowest = max(slowest, took)
            if o.outcome == "ok":
                problems.append(f"{o.target} accepted {o.key} without a quorum")
            elif o.status != 503 or o.code not in NO_QUORUM:
                answer = f"{o.status} {o.code or 'without a code'}" if o.status else o.error
                problems.append(
                    f"{o.target} answered {o.key} with {answer} after {took:.1f} s, not with 503 and one of"
                    f" {', '.join(sorted(NO_QUORUM))}"
                )
            elif took > self.deadline:
                problems.append(f"{o.target} refused {o.key} only after {took:.1f} s (deadline {self.deadline:g} s)")
        keys = {o.key for o in sent}
        counts: dict[str, int] = {}
        for found in case.reads.transactions.values():
            if found is not None and found["key"] in keys:
                counts[found["key"]] = counts.get(found["key"], 0) + 1
        problems += [f"{key} was refused and is there {n} times" for key, n in counts.items() if n > 1]
        return conclude(
            self.name, problems, f"all {len(sent)} writes were refused with 503, the slowest after {slowest:.1f} s",
            sent=len(sent), slowestMilliseconds=int(slowest * 1000), committedAfterHealing=len(counts),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MajorityAccepts:
    """From `settle` seconds after the cut was proven, at least `share` of the writes to the region with the quorum are
    accepted (until then its leases move, and writes may wait)."""

    region: str
    settle: float = 20.0
    share: float = 0.95
    least: int = 3
    name: str = "majority-accepts"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge by the probes of the region."""
        proven = case.timeline.proven or 0
        sent = [o for o in probes(case, self.region) if seconds(o.invoked_ns - proven) >= self.settle]
        if len(sent) < self.least:
            raise CannotTell(f"{len(sent)} late writes to {self.region} are too few (wanted: {self.least})")
        accepted = sum(o.outcome == "ok" for o in sent)
        problems = []
        if accepted < self.share * len(sent):
            first = next(o for o in sent if o.outcome != "ok")
            problems.append(
                f"{accepted} of {len(sent)} writes were accepted; {first.key}: {first.error or first.status}"
            )
        return conclude(
            self.name, problems, f"{accepted} of {len(sent)} writes were accepted once leases had moved",
            sent=len(sent), accepted=accepted,
        )  # fmt: skip
