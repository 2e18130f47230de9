"""One of three database nodes is killed, the one whose loss hurts most, and stays away for a while."""

from __future__ import annotations

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.catching_up import Replication
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.scenarios.bounds import COCKROACHDB, Bounds
from chronicle_chaos.scenarios.scenario import Scenario


def scenario(bounds: Bounds) -> Scenario:
    """Return the scenario for a database. The gap that is allowed says "the quorum goes on", the gap that was is in the
    journal. While it lasts the ledger can neither be read nor written, and `/health` may say so."""
    return Scenario(
        name="cockroach-node-failure",
        title="One of three database nodes is killed",
        claim="writes go on with two of three, /health says degraded until the node is back, nothing acknowledged is"
        " lost",
        fault=NodeKill(Component.COCKROACH),
        window=40.0,
        least_window_seconds=bounds.stall + 5.0,
        least_window_reason=f"the database has {bounds.stall:g} s to go on, and what holds without the node is judged"
        " afterwards",
        recovery=90.0,
        checks=(
            *ALWAYS,
            Availability(share=0.95, gap=bounds.stall, accepted=50),
            Replication(),
            HealthSays(
                during=frozenset({"degraded"}),
                within=bounds.stall,
                notices=bounds.noticed,
                blames="database",
                counts_missing=True,
            ),
        ),
    )


SCENARIO = scenario(COCKROACHDB)
