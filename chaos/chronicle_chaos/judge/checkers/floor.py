"""No account was ever under its floor, not in any answer, and not in any entry that was left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult


@dataclass(frozen=True, slots=True)
class Floor:
    """`balance - held >= floor` at every version of every account under test (whose floors never change)."""

    name: str = "floor"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge by the final entries and by every answer during the run."""
        floors = {i: a.floor for i, a in case.reads.accounts.items()}
        looked = 0
        problems = []
        lowest: int | None = None
        for account, version, available in _states(case):
            floor = floors.get(account)
            if floor is None:
                continue
            looked += 1
            lowest = available - floor if lowest is None else min(lowest, available - floor)
            if available < floor:
                problems.append(f"account {account} at version {version}: {available} available, floor {floor}")
        if not looked:
            raise CannotTell("no state of an account with a floor was seen")
        return conclude(
            self.name, problems, f"{looked} states looked at, the lowest {lowest} above its floor", states=looked,
            lowest=lowest,
        )  # fmt: skip


def _states(case: Case) -> Iterator[tuple[str, int, int]]:
    """(account, version, available) of everything that was seen."""
    for account in case.reads.accounts.values():
        yield account.id, account.version, account.balance - account.held
        for entry in account.entries:
            yield account.id, entry["version"], entry["balance_after"] - entry["held_after"]
    for operation in case.history.clients:
        answered = operation.answered
        for entry in answered.get("entries", ()):
            yield entry["account_id"], entry["version"], entry["balance_after"] - entry["held_after"]
        if operation.f == "read" and operation.outcome == "ok":
            yield operation.asked["account_id"], answered["version"], answered["balance"] - answered["held"]
