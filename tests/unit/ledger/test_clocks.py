"""By how much two clocks differ, and when that is too much."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from chronicle_ledger.domain.errors import ClocksDisagree, DatabaseUnavailable
from chronicle_ledger.health.clock import ClockComponent
from chronicle_ledger.posting.clocks import Clocks, Reading
from chronicle_ledger.web.problems import CATALOGUE

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def reading(before: float, after: float) -> Reading:
    """The replica's clock before and after, in seconds from the database's."""
    return Reading(NOW + timedelta(seconds=before), NOW, NOW + timedelta(seconds=after))


@pytest.mark.parametrize(
    ("before", "after", "skew"),
    [(-1, 1, 0), (-9, 0, 0), (0, 9, 0), (3, 9, 3), (-9, -3, -3), (2, 2, 2), (-2, -2, -2)],
)
def test_only_what_no_delay_can_explain_is_skew(before: float, after: float, skew: float) -> None:
    assert reading(before, after).skew == skew


def test_a_posting_has_the_databases_time_as_long_as_both_clocks_agree() -> None:
    clocks = Clocks(tolerance=2.0)
    for agreed in (reading(-0.1, 0.1), reading(2, 2.1), reading(-2.1, -2)):
        assert clocks.posting_time(agreed) == NOW


@pytest.mark.parametrize(("seconds", "word"), [(2.1, "ahead of"), (-2.1, "behind")])
def test_clocks_that_differ_too_much_refuse_and_say_which_is_ahead(seconds: float, word: str) -> None:
    with pytest.raises(ClocksDisagree, match=word) as refused:
        Clocks(tolerance=2.0).posting_time(reading(seconds, seconds))
    assert refused.value.code == "clock_skew"
    assert refused.value.figures == {"skew_seconds": seconds, "tolerance_seconds": 2.0}


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (1, "ok"), (-1, "ok"), (1.1, "degraded"), (-2, "degraded"), (2.1, "down")]
)
async def test_health_warns_before_postings_are_refused(seconds: float, status: str) -> None:
    async def ask() -> datetime:
        return NOW

    component = ClockComponent(ask, Clocks(own=lambda: NOW + timedelta(seconds=seconds), tolerance=2.0))
    finding = await component.probe()
    assert (finding["status"], finding["skew_seconds"]) == (status, seconds)
    assert ("error" in finding) == (status != "ok")


def test_the_refusal_has_the_words_and_figures_of_its_documented_example() -> None:
    days = 2 * 86_400
    with pytest.raises(ClocksDisagree) as refused:
        Clocks().require_agreement(reading(days, days))
    example = CATALOGUE["clock_skew"]
    assert (refused.value.message, refused.value.figures) == (example.example, example.figures)


async def test_a_silent_database_is_no_reason_to_doubt_the_clocks() -> None:
    answers: list[asyncio.Future[datetime]] = [asyncio.get_running_loop().create_future() for _ in range(3)]
    asked = iter(answers)

    async def ask() -> datetime:
        return await next(asked)

    component = ClockComponent(ask, Clocks(own=lambda: NOW), patience=0.01)
    assert (await component.probe())["error"] == "the database does not say its time"
    answers[0].set_result(NOW)
    assert (await component.probe())["status"] == "ok"
    assert (await component.probe())["status"] == "ok", "the second question is not answered yet"
    answers[1].set_exception(DatabaseUnavailable("no"))
    assert (await component.probe())["status"] == "ok"
    answers[2].set_result(NOW - timedelta(hours=1))
    assert (await component.probe())["status"] == "down"


def test_a_fixed_clock_is_compared_with_nothing() -> None:
    assert Clocks(fixed=lambda: NOW - timedelta(9)).posting_time(reading(99, 99)) == NOW - timedelta(9)
