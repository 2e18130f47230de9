"""The proof: ledger, stream and read model compared at one point in time, while writes go on."""

from __future__ import annotations

from chronicle_ledger.proof.check import Check, Result
from chronicle_ledger.proof.prove import KeptSeals, Proof, prove

__all__ = ["Check", "KeptSeals", "Proof", "Result", "prove"]
