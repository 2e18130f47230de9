"""Region A (two database nodes) and region B (one) cannot reach each other, on new and on live connections."""

from __future__ import annotations

from chronicle_chaos.checkers.always import ALWAYS
from chronicle_chaos.checkers.availability import Availability
from chronicle_chaos.checkers.health import HealthSays
from chronicle_chaos.checkers.partition import MajorityAccepts, MinorityRejects
from chronicle_chaos.checkers.regions_agree import RegionsAgree
from chronicle_chaos.faults import Partition
from chronicle_chaos.region_probes import RegionProbes
from chronicle_chaos.scenarios.liveness import NOTICED
from chronicle_chaos.scenarios.scenario import Scenario

CUT = Partition()

# Leases of ranges that the minority held move after they have run out: up to 20 s on CockroachDB 20.1.
SCENARIO = Scenario(
    name="network-partition",
    title="Region A (2 nodes) is cut from region B (1 node)",
    claim="the majority goes on accepting writes, the minority refuses each in time and accepts none, then both agree",
    fault=CUT,
    window=45.0,
    least_window_seconds=35.0,
    least_window_reason="leases have 20 s to move, and the last 10 s are there for probes to be answered in",
    recovery=90.0,
    activities=(RegionProbes((CUT.majority, CUT.minority), interval=0.75, deadline=10.0),),
    checks=(
        *ALWAYS,
        MinorityRejects(CUT.minority, deadline=10.0),
        MajorityAccepts(CUT.majority, settle=20.0),
        RegionsAgree(),
        Availability(share=0.9, gap=30.0, accepted=50),
        HealthSays(
            during=frozenset({"degraded"}),
            where=CUT.majority,
            within=20.0,
            notices=NOTICED,
            blames="database",
            counts_missing=True,
        ),
        HealthSays(
            during=frozenset({"down", "none"}),
            where=CUT.minority,
            within=20.0,
            notices=NOTICED,
            blames="database",
            name="health-minority",
        ),
    ),
)
