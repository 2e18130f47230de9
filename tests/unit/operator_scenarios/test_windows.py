"""How long faults last: by themselves, and at least, long enough for what judges them."""

from __future__ import annotations

import pytest

from chronicle_chaos.checkers.health import HealthSays
from chronicle_chaos.checkers.partition import MajorityAccepts
from chronicle_chaos.cluster_run import Chosen
from chronicle_chaos.region_probes import RegionProbes
from chronicle_chaos.scenarios import network_partition
from chronicle_chaos.scenarios.catalogue import NAMES, SCENARIOS
from chronicle_chaos.scenarios.scenario import Scenario
from chronicle_operator import rules
from chronicle_operator.scenarios import job
from chronicle_operator.spec import ChronicleLedgerSpec
from support.ledger_specs import context

BEFORE_SETTLING, TO_BE_ANSWERED = 2.0, 2.0
"""Seconds that a busy machine takes from a window at its two ends."""


def late_probes(window: float) -> int:
    """How many writes to the majority are judged in a partition of that many seconds."""
    (probing,) = network_partition.SCENARIO.activities
    (judging,) = (it for it in network_partition.SCENARIO.checks if isinstance(it, MajorityAccepts))
    assert isinstance(probing, RegionProbes)
    sending = max(window / 2, window - probing.deadline)
    return int((sending - judging.settle - BEFORE_SETTLING) / probing.interval)


@pytest.mark.parametrize("window", [network_partition.SCENARIO.window, rules.SHORTEST_SECONDS["network-partition"]])
def test_a_partition_lasts_long_enough_to_judge_the_majority(window: float) -> None:
    (judging,) = (it for it in network_partition.SCENARIO.checks if isinstance(it, MajorityAccepts))
    assert late_probes(window) >= 2 * judging.least


def test_the_thirty_seconds_that_used_to_be_the_default_were_too_few() -> None:
    assert late_probes(30) < MajorityAccepts("region-a").least


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.name)
def test_no_scenario_can_be_given_a_window_in_which_its_health_is_not_judged(scenario: Scenario) -> None:
    shortest = rules.SHORTEST_SECONDS[scenario.name]  # type: ignore[index]
    grace = max((it.within for it in scenario.checks if isinstance(it, HealthSays)), default=0.0)
    assert shortest >= grace + TO_BE_ANSWERED
    assert scenario.window >= shortest


def test_the_spec_knows_the_engines_scenarios_in_its_order() -> None:
    assert rules.SCENARIOS == NAMES


def test_without_a_duration_the_order_leaves_the_window_to_the_scenario() -> None:
    assert all(it.duration is None for it in ChronicleLedgerSpec().resilience.scenarios)
    ordered = {it["name"]: Chosen(**it) for it in job.order(context(), "r", 0)["scenarios"]}
    assert {name: it.window for name, it in ordered.items()} == {it.name: it.window for it in SCENARIOS}
    given = context({"resilience": {"scenarios": [{"name": "nats-outage", "duration": "1m30s"}]}})
    (chosen,) = job.order(given, "r", 0)["scenarios"]
    assert chosen == {"name": "nats-outage", "duration": 90, "recovery": None}
