"""One idempotency key makes one transaction, however often the request is sent."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.history import WRITES


@dataclass(frozen=True, slots=True)
class ExactlyOnce:
    """Every key has at most one transaction; a repeated request gets the first one's answer, marked as a replay."""

    name: str = "exactly-once"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge by what clients were told and by the keys in the metadata of what is there."""
        reads = case.reads
        told = [o for o in case.history.clients if o.f in WRITES | {"replay"} and o.key is not None]
        repeated = [o for o in told if o.f == "replay" or o.answered.get("attempts", 1) > 1]
        if not any(o.outcome == "ok" for o in repeated):
            raise CannotTell("no repeated request was answered, so idempotency was never put to the test")
        by_key: dict[str, set[str]] = {}
        problems = []
        for o in told:
            if o.outcome == "ok" and o.key is not None:
                by_key.setdefault(o.key, set()).add(str(o.answered.get("transaction_id")))
            if o.f == "replay" and o.outcome == "ok" and not o.answered.get("replayed"):
                problems.append(f"{o.key} was sent again and its answer is not marked as a replay")
            if o.f == "replay" and o.outcome == "fail" and o.status is not None:
                problems.append(f"{o.key} was sent again and refused: {o.status} {o.code}")
        present = reads.transaction_ids()
        for transaction, found in reads.transactions.items():
            if found is not None and found["key"] is not None and transaction in present:
                if found["kind"] == "account_opened":
                    continue
                by_key.setdefault(found["key"], set()).add(transaction)
        twice = {key: ids for key, ids in by_key.items() if len(ids) > 1}
        problems[:0] = [f"{key} made {len(ids)} transactions: {', '.join(sorted(ids))}" for key, ids in twice.items()]
        return conclude(
            self.name, problems, f"{len(by_key)} keys, {len(repeated)} requests repeated, one transaction each",
            keys=len(by_key), repeated=len(repeated), twice=len(twice),
        )  # fmt: skip
