"""The five as data: what each says of itself fits together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chronicle_chaos.faults.contention import WithdrawalRounds
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.latency import Latency
from chronicle_chaos.judge.checkers.partition import MajorityAccepts
from chronicle_chaos.judge.checkers.withdrawals import TenOfHundred
from chronicle_chaos.load.pressure import Pressure
from chronicle_chaos.load.region_probes import RegionProbes
from chronicle_chaos.load.sampler import ANSWER_SECONDS
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
    what = scenario.fault
    assert isinstance(what, WithdrawalRounds)
    assert (check.rounds, check.clients, check.accepted) == (what.rounds, what.clients, what.balance // what.amount)


def test_a_least_window_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="say why"):
        replace(SCENARIOS[0], least_window_reason="")


@every
def test_the_documents_say_the_figures_that_are_judged_by(scenario: Scenario) -> None:
    text = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{scenario.name}` |")]
    assert f"| {scenario.window:g} ({scenario.least_window_seconds:g}) | {scenario.recovery:g} |" in row
    for check in scenario.checks:
        if isinstance(check, Availability):
            assert f"{check.share * 100:g} % answered, no gap over {check.gap:g} s" in row
        if isinstance(check, Latency):
            assert f"within {check.factor:g} x the baseline, at least {check.factor * check.least:g} s" in row
        if isinstance(check, HealthSays) and check.within:
            assert f"after {check.within:g} s at the latest" in row
    for background in scenario.background:
        if isinstance(background, Pressure):
            assert f"with {background.clients} clients that always have a request under way" in row
