"""The proof: ledger, stream and read model compared at one point in time, while writes go on."""

from __future__ import annotations

from chronicle_ledger.events.proof.check import Check, Result
from chronicle_ledger.events.proof.prove import Proof, prove

__all__ = ["Check", "Proof", "Result", "prove"]
