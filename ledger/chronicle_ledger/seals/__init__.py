"""Seals: signed notes of every account's version and head, by which a rewritten history shows."""

from __future__ import annotations

from chronicle_ledger.seals.chain import SealBroken, SealedChain
from chronicle_ledger.seals.document import Seal, SealedAccount

__all__ = ["Seal", "SealBroken", "SealedAccount", "SealedChain"]
