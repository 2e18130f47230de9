"""Money is neither made nor lost: what clients put in and took out is what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult


@dataclass(frozen=True, slots=True)
class Conservation:
    """The bank test: the accounts under test hold what was deposited less what was withdrawn, counted on the clients'
    side; every acknowledged transaction sums to zero; all accounts of the currency, the outside world's included, sum
    to zero."""

    name: str = "conservation"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge. Amounts in the message are minor units."""
        reads = case.reads
        acknowledged = [o for o in case.history.writes if o.outcome == "ok"]
        if not acknowledged:
            raise CannotTell("no write was acknowledged, so no money moved")
        problems = []
        ours = {*reads.accounts, *reads.absent}
        for o in acknowledged:
            total = sum(e["amount"] for e in o.answered.get("entries", ()))
            if total:
                problems.append(f"transaction {o.answered.get('transaction_id')} sums to {total}, not 0")
        known = {o.answered.get("transaction_id") for o in acknowledged}
        expected = sum(_net(o.f, o.asked) for o in acknowledged)
        expected += sum(_moved(t, ours) for i, t in reads.transactions.items() if t is not None and i not in known)
        found = sum(a.balance for a in reads.accounts.values())
        if found != expected:
            problems.append(f"clients put in {expected} net, the accounts hold {found}: {found - expected:+d}")
        if reads.currency_total is None:
            raise CannotTell("the accounts of the currency could not be summed")
        if reads.currency_total:
            problems.append(
                f"all {reads.currency_accounts} accounts of the currency sum to {reads.currency_total}, not 0"
            )
        return conclude(
            self.name, problems, f"{found} minor units in {len(ours)} accounts, as the clients count", total=found,
            accounts=len(ours), currencyTotal=reads.currency_total,
        )  # fmt: skip


def _net(f: str, asked: dict[str, Any]) -> int:
    """What an acknowledged write brings into the accounts under test; transfers and captures stay inside."""
    if f == "deposit":
        return int(asked["amount"])
    return -int(asked["amount"]) if f == "withdrawal" else 0


def _moved(transaction: dict[str, Any], ours: set[str]) -> int:
    return sum(e["amount"] for e in transaction["entries"] if e["account_id"] in ours)
