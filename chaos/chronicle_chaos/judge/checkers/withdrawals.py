"""Ten of a hundred: concurrent withdrawals take out exactly what is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.final import FinalAccount
from chronicle_chaos.record.history import Operation


@dataclass(frozen=True, slots=True)
class TenOfHundred:
    """In each round exactly `accepted` of `clients` withdrawals succeed, all others get 409 `insufficient_funds`, and
    the account ends at 0 without having been negative."""

    clients: int = 100
    accepted: int = 10
    rounds: int = 2
    name: str = "ten-of-hundred"
    safety: bool = False

    def check(self, case: Case) -> CheckResult:
        """Judge round by round."""
        rounds: dict[int, list[Operation]] = {}
        for o in case.history.writes:
            if "round" in o.asked:
                rounds.setdefault(o.asked["round"], []).append(o)
        if len(rounds) < self.rounds:
            raise CannotTell(f"{len(rounds)} rounds are too few (wanted: {self.rounds})")
        problems: list[str] = []
        for number, round_ in sorted(rounds.items()):
            account = round_[0].asked["account_id"]
            if account in case.reads.absent:
                problems.append(f"round {number}: account {account} is not there")
            else:
                problems += self._round(number, round_, case.reads.accounts[account])
        unknown = sum(o.outcome == "info" for round_ in rounds.values() for o in round_)
        if unknown and not problems:
            raise CannotTell(f"the outcome of {unknown} withdrawals is unknown, so nobody can count to ten")
        each = f"{self.accepted} x 201 and {self.clients - self.accepted} x 409 insufficient_funds"
        return conclude(self.name, problems, f"{len(rounds)} rounds, in each {each}, balance 0", rounds=len(rounds))

    def _round(self, number: int, round_: list[Operation], account: FinalAccount) -> list[str]:
        counts = Counter(_fate(o) for o in round_)
        problems = []
        told = ", ".join(f"{n} x {fate}" for fate, n in sorted(counts.items()))
        unknown = counts["unknown"]
        refused = self.clients - self.accepted
        exact = counts["201"] == self.accepted and counts["409 insufficient_funds"] == refused
        if len(round_) != self.clients or (not unknown and not exact) or counts["201"] > self.accepted:
            problems.append(f"round {number}: {told}")
        taken = sum(e["amount"] < 0 for e in account.entries)
        if taken != self.accepted or account.balance != 0:
            problems.append(f"round {number}: {taken} withdrawals are in the account, its balance is {account.balance}")
        lowest = min(e["balance_after"] for e in account.entries)
        if lowest < 0:
            problems.append(f"round {number}: the balance was {lowest}")
        return problems


def _fate(o: Operation) -> str:
    if o.outcome == "info":
        return "unknown"
    return f"{o.status}" if o.outcome == "ok" else f"{o.status} {o.code}"
