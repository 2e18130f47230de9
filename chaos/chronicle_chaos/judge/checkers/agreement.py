"""Ledger, event stream and read model say the same, by the ledger's own proof (`GET /v1/proof`)."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult

COMPARED = ("stream", "view")
"""The checks of a proof that hold something else against the ledger; the others look at the ledger alone."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The proof at the end is clean, and in it both the stream and the read model were compared with the ledger."""

    name: str = "agreement"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge by the proof among the final reads."""
        proof = case.reads.proof
        if proof is None or "checks" not in proof:
            raise CannotTell(f"the ledger gave no proof: {case.reads.proof_error}")
        checks = {c["name"]: c for c in proof["checks"]}
        problems = [f"{c['name']}: {c['message']}" for c in checks.values() if c["result"] == "Failed"]
        unknown = [
            f"{c['name']}: {c['message']}"
            for c in checks.values()
            if c["result"] not in {"Passed", "Failed", "NotApplicable"}
        ]
        unknown += [
            f"{name} was not compared with the ledger"
            for name in COMPARED
            if name not in checks or checks[name]["result"] == "NotApplicable" or not checks[name].get("compared")
        ]
        if unknown and not problems:
            raise CannotTell(f"the proof could not decide: {'; '.join(unknown)}")
        return conclude(
            self.name, problems, f"all {len(checks)} checks of the proof are clean", checks=len(checks),
            transactions=proof.get("ledger", {}).get("transactions"), head=proof.get("ledger", {}).get("head"),
        )  # fmt: skip
