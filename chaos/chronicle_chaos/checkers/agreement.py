"""Ledger, event stream and read model say the same, by the ledger's own proof (`GET /v1/proof`)."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.verdict import CheckResult


@dataclass(frozen=True, slots=True)
class Agreement:
    """The proof at the end is clean, and it did compare something."""

    name: str = "agreement"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge by the proof among the final reads."""
        proof = case.reads.proof
        if proof is None or "checks" not in proof:
            raise CannotTell(f"the ledger gave no proof: {case.reads.proof_error}")
        checks = proof["checks"]
        if not any(c.get("compared") for c in checks):
            raise CannotTell("the proof compared nothing")
        problems = [f"{c['name']}: {c['message']}" for c in checks if c["result"] == "Failed"]
        open_ = [
            f"{c['name']}: {c['message']}" for c in checks if c["result"] not in {"Passed", "Failed", "NotApplicable"}
        ]
        if open_ and not problems:
            raise CannotTell(f"the proof could not decide: {'; '.join(open_)}")
        return conclude(
            self.name, problems, f"all {len(checks)} checks of the proof are clean", checks=len(checks),
            transactions=proof.get("ledger", {}).get("transactions"), head=proof.get("ledger", {}).get("head"),
        )  # fmt: skip
