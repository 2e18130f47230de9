"""Everything that a ledger consists of, in the order in which to apply it."""

from __future__ import annotations

from collections import Counter

from chronicle_operator.resources import accounts, api, cockroachdb, events, jobs, nats, network_policies
from chronicle_operator.resources.context import LedgerContext, Manifest


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the wanted objects of a ledger, Secrets excepted (see `credentials`).

    Raises ValueError where two of them would have one name: each would be applied over the other, without an end.
    """
    found = [
        *accounts.build(ledger),
        *network_policies.build(ledger),
        *cockroachdb.build(ledger),
        *nats.build(ledger),
        *jobs.build(ledger),
        *api.build(ledger),
        *events.build(ledger),
    ]
    names = Counter((str(it["kind"]), str(it["metadata"]["name"])) for it in found)
    if twice := [f"{kind} {name}" for (kind, name), count in names.items() if count > 1]:
        raise ValueError(f"{', '.join(twice)} would be made twice: give the ledger or its regions other names")
    return found
