"""The five as data: what each says of itself fits together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chronicle_chaos.checkers.health import HealthSays
from chronicle_chaos.checkers.partition import MajorityAccepts
from chronicle_chaos.checkers.withdrawals import TenOfHundred
from chronicle_chaos.contention import WithdrawalRounds
from chronicle_chaos.region_probes import RegionProbes
from chronicle_chaos.sampler import ANSWER_SECONDS
from chronicle_chaos.scenarios.catalogue import SCENARIOS, find
from chronicle_chaos.scenarios.scenario import Scenario

every = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)


@every
def test_the_window_is_no_shorter_than_the_least_one_and_the_least_one_has_a_reason(scenario: Scenario) -> None:
    assert 0 < scenario.least_window_seconds <= scenario.window
    assert scenario.least_window_reason


@every
def test_health_can_be_judged_in_the_least_window(scenario: Scenario) -> None:
    for check in scenario.checks:
        if isinstance(check, HealthSays):
            assert check.within + ANSWER_SECONDS <= scenario.least_window_seconds


@every
def test_the_majority_can_be_judged_in_the_least_window(scenario: Scenario) -> None:
    probes = [a for a in scenario.activities if isinstance(a, RegionProbes)]
    for check in scenario.checks:
        if isinstance(check, MajorityAccepts):
            for probe in probes:
                sending = scenario.least_window_seconds - probe.deadline
                assert check.settle + check.least * probe.interval <= sending


def test_all_rounds_of_withdrawals_are_judged_with_the_figures_of_the_rounds() -> None:
    (scenario,) = find(["concurrent-withdrawals"])
    (check,) = [c for c in scenario.checks if isinstance(c, TenOfHundred)]
    what = scenario.contention
    assert isinstance(what, WithdrawalRounds)
    assert (check.rounds, check.clients, check.accepted) == (what.rounds, what.clients, what.balance // what.amount)


def test_a_least_window_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="say why"):
        replace(SCENARIOS[0], least_window_reason="")
