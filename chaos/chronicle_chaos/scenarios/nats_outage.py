"""The whole event bus stops. Writers must not notice; the read model falls behind, says so, and catches up."""

from __future__ import annotations

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.catching_up import LagGrowsAndReturns
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.latency import Latency
from chronicle_chaos.scenarios.scenario import Scenario

SCENARIO = Scenario(
    name="nats-outage",
    title="Every NATS server stops",
    claim="writes go on as fast as before, the read model lags and says by how much, and catches up without loss",
    fault=Outage(Component.NATS),
    window=15.0,
    least_window_seconds=10.0,
    least_window_reason="/health has 6 s to notice and is judged afterwards, by one sample a second",
    recovery=60.0,
    checks=(
        *ALWAYS,
        Availability(share=0.99, gap=5.0, accepted=50),
        Latency(factor=2.0),
        LagGrowsAndReturns(),
        HealthSays(during=frozenset({"degraded"}), within=6.0, blames="nats"),
    ),
)
