"""Stalls of the database that clients felt too: `/health` that tells of one at that moment has told the truth.

A scenario says what `/health` must report of its fault. A database that cannot be read for a second for another
reason (leases that move once more, a machine that is too busy) is no part of the fault, and yet true. Whether it is
true is not for `/health` to say: the clients' own requests, which went another way, decide it.
"""

from __future__ import annotations

from chronicle_chaos.record.clock import nanoseconds
from chronicle_chaos.record.history import History, Operation

STALL_SECONDS = 1.0
"""What `/health` gives the database for one read (`timeout` of chronicle_ledger.store.cluster.cluster_state)."""

AGE_SECONDS = 2.5
"""How long before it was asked for a report may have been true: a finding is kept for a second, and looking may have
taken 1.5 s (`FRESH` and `TIMEOUT` of chronicle_ledger.health.health)."""


def felt(history: History, sample: Operation) -> bool:
    """Whether the report blames the database for a stall alone, and a client's request then stalled as well."""
    if not _tells_of_a_stall(sample):
        return False
    since = sample.invoked_ns - nanoseconds(AGE_SECONDS)
    until = sample.invoked_ns if sample.ended_ns is None else sample.ended_ns
    return any(_stalled(o, since, until) for o in history.clients)


def _tells_of_a_stall(sample: Operation) -> bool:
    told = sample.answered
    missing = told.get("nodes_live") != told.get("nodes_total") or bool(told.get("underreplicated"))
    return told.get("database") in {"degraded", "down"} and not missing


def _stalled(o: Operation, since_ns: int, until_ns: int) -> bool:
    """Whether, at some moment between the two, one attempt was under way for as long as `/health` would wait, and the
    ledger then answered it: what a crash interrupts is sent again, and says nothing about the database."""
    if o.ended_ns is None or o.status is None or o.sent_again:
        return False
    long = o.ended_ns - o.invoked_ns >= nanoseconds(STALL_SECONDS)
    return long and o.invoked_ns <= until_ns and o.ended_ns >= since_ns
