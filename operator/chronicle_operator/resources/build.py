"""Everything that a ledger consists of, in the order in which to apply it."""

from __future__ import annotations

from chronicle_operator.resources.context import LedgerContext, Manifest


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the wanted objects of a ledger, Secrets excepted (see `credentials`)."""
    del ledger
    raise NotImplementedError
