"""Everything that a ledger consists of, in the order in which to apply it."""

from __future__ import annotations

from chronicle_operator.resources import accounts, api, cockroachdb, events, jobs, nats, network_policies
from chronicle_operator.resources.context import LedgerContext, Manifest


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the wanted objects of a ledger, Secrets excepted (see `credentials`)."""
    return [
        *accounts.build(ledger),
        *network_policies.build(ledger),
        *cockroachdb.build(ledger),
        *nats.build(ledger),
        *jobs.build(ledger),
        *api.build(ledger),
        *events.build(ledger),
    ]
