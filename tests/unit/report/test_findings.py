"""Below the table: what was counted, which invariants held, and how the read model followed."""

from __future__ import annotations

from typing import Any

from chronicle_chaos.record.history import Event, History
from chronicle_chaos.record.journal import CheckRecord, ScenarioRecord
from chronicle_chaos.report.findings import INVARIANTS, findings, listing, read_model
from chronicle_chaos.scenarios.catalogue import SCENARIOS


def check(name: str, message: str = "", result: str = "Passed", **figures: Any) -> CheckRecord:
    return CheckRecord(name, result, message, figures)


def a_record(*checks: CheckRecord) -> ScenarioRecord:
    return ScenarioRecord("concurrent-withdrawals", "", checks=list(checks))


def sampled(*lags: int | None) -> History:
    events: list[Event] = []
    for number, lag in enumerate(lags):
        at, key = number * 1_000_000_000, str(number)
        events.append(Event(len(events), at, "s", "health-lb", "invoke", "health", key, {}, "lb"))
        value = {"status": "ok", "lag_events": lag}
        events.append(Event(len(events), at + 1, "s", "health-lb", "ok", "health", key, value, "lb"))
    return History(tuple(events))


def test_a_scenario_says_what_it_counted_then_what_held_then_how_the_view_followed() -> None:
    record = a_record(
        check("ten-of-hundred", "6 rounds, in each 10 x 201 and 90 x 409 insufficient_funds, balance 0"),
        check("conservation", "…", currencyTotal=0),
        check("floor", "…"),
        check("linearizability", "…"),
        check("availability", "100.0% answered"),
    )
    assert findings(record, sampled(0, 41, None, 0)) == [
        "6 rounds, in each 10 x 201 and 90 x 409 insufficient_funds, balance 0",
        "all accounts sum to 0; no balance below its floor; versions dense, in one order",
        "read model: 41 events behind at most, 0 at the end",
    ]


def test_what_did_not_pass_is_not_told_as_if_it_had() -> None:
    record = a_record(
        check("floor", "the balance was -10", "Failed"),
        check("agreement", "no proof", "Inconclusive"),
        check("availability", "half answered", "Failed"),
    )
    assert findings(record, None) == ["availability: Failed", "floor: Failed; agreement: Inconclusive"]


def test_a_journal_that_lacks_a_figure_is_still_shown() -> None:
    assert findings(a_record(check("conservation")), None) == ["conservation: Passed"]


def test_nothing_is_said_of_what_was_not_checked_nor_of_a_view_that_nobody_sampled() -> None:
    assert findings(a_record(), sampled(3)) == []
    assert read_model(sampled(None, None)) is None
    assert list(listing({})) == []


def test_names_stand_before_the_first_line_of_each() -> None:
    assert list(listing({"a": ["one", "two"], "long": ["three"]})) == ["a     one", "      two", "long  three"]


def test_every_scenario_has_the_checks_whose_meaning_is_put_in_few_words() -> None:
    for scenario in SCENARIOS:
        assert set(INVARIANTS) <= {c.name for c in scenario.checks}
