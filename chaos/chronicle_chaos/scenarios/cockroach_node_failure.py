"""One of three CockroachDB nodes is killed, the one that holds most leases, and stays away for a while."""

from __future__ import annotations

from chronicle_chaos.checkers.always import ALWAYS
from chronicle_chaos.checkers.availability import Availability
from chronicle_chaos.checkers.catching_up import Replication
from chronicle_chaos.checkers.health import HealthSays
from chronicle_chaos.faults import Component, NodeKill
from chronicle_chaos.scenarios.liveness import NOTICED
from chronicle_chaos.scenarios.scenario import Scenario

# A killed leaseholder stalls its ranges until its leases have run out and each range has found a new one: 7 to 17 s on
# CockroachDB 20.1, most where the range with the nodes' own liveness was among them. The gap that is allowed says "the
# quorum goes on", the gap that was is in the journal. While it lasts the ledger can neither be read nor written, and
# /health may say so; after it, `degraded` is the one true answer.
STALL = 25.0

SCENARIO = Scenario(
    name="cockroach-node-failure",
    title="One of three CockroachDB nodes is killed",
    claim="writes go on with two of three, /health says degraded until the node is back, nothing acknowledged is lost",
    fault=NodeKill(Component.COCKROACH),
    window=40.0,
    least_window_seconds=30.0,
    least_window_reason=f"leases have {STALL:g} s to move, and what holds without the node is judged afterwards",
    recovery=90.0,
    checks=(
        *ALWAYS,
        Availability(share=0.95, gap=STALL, accepted=50),
        Replication(),
        HealthSays(
            during=frozenset({"degraded"}), within=STALL, notices=NOTICED, blames="database", counts_missing=True
        ),
    ),
)
