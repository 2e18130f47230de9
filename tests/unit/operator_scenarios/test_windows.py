"""How long faults last: by themselves, and at least, long enough for what judges them."""

from __future__ import annotations

from chronicle_chaos.cluster.job import Chosen
from chronicle_chaos.judge.checkers.partition import MajorityAccepts
from chronicle_chaos.load.region_probes import RegionProbes
from chronicle_chaos.scenarios import network_partition
from chronicle_chaos.scenarios.catalogue import NAMES, SCENARIOS
from chronicle_operator.crd import rules
from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.scenarios import job
from support.ledger_specs import context

BUSY_SECONDS = 2.0
"""What a busy machine takes from a window before the first probe is sent."""


def late_probes(window: float) -> int:
    """How many writes to the majority are judged in a partition of that many seconds."""
    (probing,) = network_partition.SCENARIO.activities
    (judging,) = (it for it in network_partition.SCENARIO.checks if isinstance(it, MajorityAccepts))
    assert isinstance(probing, RegionProbes)
    sending = max(window / 2, window - probing.deadline)
    return int((sending - judging.settle - BUSY_SECONDS) / probing.interval)


def test_a_partition_lasts_long_enough_to_judge_the_majority() -> None:
    (judging,) = (it for it in network_partition.SCENARIO.checks if isinstance(it, MajorityAccepts))
    assert late_probes(network_partition.SCENARIO.window) >= 2 * judging.least
    assert late_probes(rules.SHORTEST_SECONDS["network-partition"]) >= judging.least


def test_the_thirty_seconds_that_used_to_be_the_default_were_too_few() -> None:
    assert late_probes(30) < MajorityAccepts("region-a").least


def test_the_spec_knows_the_engines_scenarios_in_its_order_and_their_least_windows() -> None:
    assert rules.SCENARIOS == NAMES
    assert {it.name: it.least_window_seconds for it in SCENARIOS} == rules.SHORTEST_SECONDS


def test_without_a_duration_the_order_leaves_the_window_to_the_scenario() -> None:
    assert all(it.duration is None for it in ChronicleLedgerSpec().resilience.scenarios)
    ordered = {it["name"]: Chosen(**it) for it in job.order(context(), "r", 0)["scenarios"]}
    assert {name: it.window for name, it in ordered.items()} == {it.name: it.window for it in SCENARIOS}
    given = context({"resilience": {"scenarios": [{"name": "nats-outage", "duration": "1m30s"}]}})
    (chosen,) = job.order(given, "r", 0)["scenarios"]
    assert chosen == {"name": "nats-outage", "duration": 90, "recovery": None}
