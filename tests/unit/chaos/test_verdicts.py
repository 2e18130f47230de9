"""A verdict is never better than what was proven: wrong beats unknown beats right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronicle_chaos.judge.verdict import CheckResult, Result, Stop, Verdict, exit_status, judge

results = st.lists(st.sampled_from(list(Result)), min_size=1, max_size=6)
stops = st.none() | st.sampled_from(list(Stop))


def checks(*found: Result) -> list[CheckResult]:
    return [CheckResult(f"check-{n}", result, "because") for n, result in enumerate(found)]


@given(results, stops)
def test_a_scenario_passes_only_if_every_phase_ran_and_every_check_passed(
    found: list[Result], stop: Stop | None
) -> None:
    passed = judge(stop, "why", checks(*found)).verdict is Verdict.PASSED
    assert passed == (stop is None and set(found) == {Result.PASSED})


@given(results, stops)
def test_a_failed_check_makes_it_failed_however_the_scenario_ended(found: list[Result], stop: Stop | None) -> None:
    verdict = judge(stop, "why", [*checks(*found), *checks(Result.FAILED)]).verdict
    assert verdict is (Verdict.NOT_APPLICABLE if stop is Stop.NOT_APPLICABLE else Verdict.FAILED)


def test_an_unproven_fault_is_inconclusive_even_where_all_checks_pass() -> None:
    judgement = judge(Stop.FAULT_UNPROVEN, "nothing was observed", checks(Result.PASSED))
    assert (judgement.verdict, judgement.reason) == (Verdict.INCONCLUSIVE, "FaultUnproven")


@given(results, stops)
def test_with_a_cleanup_that_failed_nothing_passes_and_every_other_verdict_stays(
    found: list[Result], stop: Stop | None
) -> None:
    clean = judge(stop, "why", checks(*found))
    unclean = judge(stop, "why", checks(*found), cleanup_failure="a rule is left")
    if clean.verdict is Verdict.PASSED:
        assert (unclean.verdict, unclean.reason) == (Verdict.INCONCLUSIVE, "CleanupFailed")
        assert "a rule is left" in unclean.message
    else:
        assert unclean == clean


def test_nothing_checked_is_inconclusive() -> None:
    assert judge(None, "", []).verdict is Verdict.INCONCLUSIVE


def test_a_failure_names_its_check_in_reason_and_message() -> None:
    judgement = judge(None, "", [CheckResult("exactly-once", Result.FAILED, "key k made 2 transactions")])
    assert judgement.reason == "ExactlyOnceFailed"
    assert judgement.message == "exactly-once: key k made 2 transactions"


@pytest.mark.parametrize("stop", [Stop.ABORTED, Stop.TARGET_NOT_HEALED])
def test_an_interrupted_run_and_one_that_was_not_begun_are_aborted(stop: Stop) -> None:
    assert judge(stop, "Ctrl-C", []).verdict is Verdict.ABORTED


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        (["Passed", "Passed"], 0),
        (["Passed", "NotApplicable"], 0),
        (["Passed", "Failed", "Inconclusive"], 1),
        (["Passed", "Inconclusive"], 3),
        (["Aborted"], 3),
        ([], 3),
    ],
)
def test_the_exit_status_is_that_of_the_worst_verdict(verdicts: list[str], status: int) -> None:
    assert exit_status(verdicts) == status
