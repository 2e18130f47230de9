"""Region A (two database nodes) and region B (one) cannot reach each other, on new and on live connections."""

from __future__ import annotations

from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.partition import MajorityAccepts, MinorityRejects
from chronicle_chaos.judge.checkers.regions_agree import RegionsAgree
from chronicle_chaos.load.region_probes import RegionProbes
from chronicle_chaos.scenarios.bounds import COCKROACHDB, Bounds
from chronicle_chaos.scenarios.scenario import Scenario

CUT = Partition()
PROBED = 15.0
"""Seconds in which enough probes are sent, and answered."""


def scenario(bounds: Bounds) -> Scenario:
    """Return the scenario for a database."""
    return Scenario(
        name="network-partition",
        title="Region A (2 nodes) is cut from region B (1 node)",
        claim="the majority goes on accepting writes, the minority refuses each in time and accepts none, then both"
        " agree",
        fault=CUT,
        window=45.0,
        least_window_seconds=bounds.settled + PROBED,
        least_window_reason=f"the database has {bounds.settled:g} s to go on, and the last 10 s are there for probes"
        " to be answered in",
        recovery=90.0,
        activities=(RegionProbes((CUT.majority, CUT.minority), interval=0.75, deadline=10.0),),
        checks=(
            *ALWAYS,
            MinorityRejects(CUT.minority, deadline=10.0),
            MajorityAccepts(CUT.majority, settle=bounds.settled),
            RegionsAgree(),
            Availability(share=0.9, gap=30.0, accepted=50),
            HealthSays(
                during=frozenset({"degraded"}),
                where=CUT.majority,
                within=bounds.settled,
                notices=bounds.noticed,
                blames="database",
                counts_missing=True,
            ),
            HealthSays(
                during=frozenset({"down", "none"}),
                where=CUT.minority,
                within=bounds.settled,
                notices=bounds.noticed,
                blames="database",
                name="health-minority",
            ),
        ),
    )


SCENARIO = scenario(COCKROACHDB)
