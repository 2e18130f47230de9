"""API instances die in the middle of requests, one after the other, at random moments."""

from __future__ import annotations

from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability, NoFinalFailure
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.load.pressure import Pressure
from chronicle_chaos.scenarios.scenario import Scenario

SCENARIO = Scenario(
    name="api-crash",
    title="API instances are killed with requests under way",
    claim="no client is left without an answer, and no retry posts twice",
    fault=Crashes(Component.API, times=4),
    window=20.0,
    least_window_seconds=12.0,
    least_window_reason="three crashes fall into it, and each waits until the instance before is back",
    recovery=60.0,
    background=(Pressure(clients=12, pause=0.05),),
    checks=(
        *ALWAYS,
        NoFinalFailure(),
        Availability(share=0.999, gap=10.0, accepted=50),
        HealthSays(during=frozenset({"ok"}), within=0.0),
    ),
)
