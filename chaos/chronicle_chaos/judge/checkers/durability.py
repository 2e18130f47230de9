"""What was acknowledged is there, as it was acknowledged; and nothing is there that was refused."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.final import FinalReads
from chronicle_chaos.record.history import Operation

OWN_KINDS = frozenset({"account_opened", "expiry"})
"""Transactions that no write of the history asks for: opening an account is one, and so is a hold that ran out."""


@dataclass(frozen=True, slots=True)
class Durability:
    """Jepsen's `set` on transactions. acknowledged: a client was told so. lost: acknowledged and not there,
    be it that its whole account is not.
    unexpected: there, although refused or never asked for. recovered: there, and its client never knew."""

    name: str = "durability"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge. `lost` in the figures is the journal's `lostWrites`."""
        reads = case.reads
        acknowledged = [o for o in case.history.writes if o.outcome == "ok"]
        if not acknowledged:
            raise CannotTell("no write was acknowledged, so nothing could be lost")
        there = {
            (e["transaction_id"], a.id): (e["version"], e["amount"], e["held"])
            for a in reads.accounts.values()
            for e in a.entries
        }
        gone = [f"account {a} was opened for a client and the ledger does not know it" for a in reads.absent]
        lost, changed = [], []
        for o in acknowledged:
            state = _fate(o, there, reads)
            if state == "lost":
                lost.append(f"{o.f} {o.key} was acknowledged as {o.answered.get('transaction_id')} and is not there")
            elif state == "changed":
                changed.append(f"{o.f} {o.key} ({o.answered['transaction_id']}) is not there as it was acknowledged")
        unexpected, recovered = _strangers(case, reads)
        return conclude(
            self.name, gone + lost + changed + unexpected, f"all {len(acknowledged)} acknowledged writes are there",
            acknowledged=len(acknowledged), lost=len(lost), changed=len(changed), unexpected=len(unexpected),
            recovered=recovered, accountsGone=len(gone),
        )  # fmt: skip


def _fate(o: Operation, there: dict[tuple[str, str], tuple[int, int, int]], reads: FinalReads) -> str:
    transaction = o.answered.get("transaction_id")
    told_of = o.answered.get("entries", ())
    entries = [e for e in told_of if e["account_id"] in reads.accounts]
    if transaction is None or not entries or any(e["account_id"] in reads.absent for e in told_of):
        return "lost"
    found = [there.get((transaction, e["account_id"])) for e in entries]
    if all(f is None for f in found):
        return "lost"
    told = [(e["version"], e["amount"], e["held"]) for e in entries]
    return "kept" if found == told else "changed"


def _strangers(case: Case, reads: FinalReads) -> tuple[list[str], int]:
    """Transactions that are there without an acknowledgement: those to complain of, and how many are recovered."""
    outcomes: dict[str, set[str]] = {}
    for o in case.history.writes:
        if o.key is not None:
            outcomes.setdefault(o.key, set()).add(o.outcome)
    unexpected, recovered = [], 0
    present = reads.transaction_ids()
    for transaction, found in reads.transactions.items():
        if transaction not in present or found is None or found["kind"] in OWN_KINDS:
            continue
        key = found["key"]
        known = outcomes.get(key, set()) if key is not None else set()
        if "ok" in known:
            continue  # a second transaction for an acknowledged key: exactly-once complains of it
        if "info" in known:
            recovered += 1
        elif "fail" in known:
            unexpected.append(f"{found['kind']} {transaction} is there, although {key} was refused")
        else:
            unexpected.append(f"{found['kind']} {transaction} is there, although nobody asked for it")
    return unexpected, recovered
