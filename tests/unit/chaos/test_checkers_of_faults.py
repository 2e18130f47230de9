"""The checks that judge what a fault did: each passes where the ledger bore it, and fails where it did not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chronicle_chaos.judge.checkers.availability import Availability, NoFinalFailure
from chronicle_chaos.judge.checkers.base import Checker, run_checks
from chronicle_chaos.judge.checkers.catching_up import LagGrowsAndReturns, Replication
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.latency import Latency
from chronicle_chaos.judge.checkers.partition import MajorityAccepts, MinorityRejects
from chronicle_chaos.judge.checkers.withdrawals import TenOfHundred
from chronicle_chaos.judge.verdict import CheckResult, Result
from chronicle_chaos.record.final import FinalAccount
from support.histories import BASELINE, HEAL, INJECT, LOAD_OFF, LOAD_ON, PROVEN, RECOVERED, SECOND, Story


def judge(checker: Checker, story: Story) -> CheckResult:
    (result,) = run_checks([checker], story.case())
    return result


def loaded(*, latency: float = 0.01, under_fault: float | None = None, every: float = 0.1) -> Story:
    """A deposit every `every` seconds, answered after `latency` seconds, under the fault after `under_fault`."""
    story = Story().nemesis()
    # Known accounts exist, so that checkers which read them can.
    story.final.accounts["a"] = FinalAccount("a", 0, 0, 0, 0, [])
    began, number = LOAD_ON + 1, 0
    while began < LOAD_OFF - SECOND:
        number += 1
        slow = under_fault is not None and PROVEN <= began < HEAL
        ended = began + int(SECOND * ((under_fault or 0) if slow else latency))
        story.operation("deposit", {"account_id": "a", "amount": 1}, began, ended, key=f"k{number}")
        began += int(SECOND * every)
    return story


# ---- availability ------------------------------------------------------------------------------------------------

AVAILABLE = Availability(share=0.95, gap=5.0, accepted=10)


def test_a_ledger_that_went_on_answering_was_available() -> None:
    result = judge(AVAILABLE, loaded())
    assert (result.result, result.figures["permille"]) == (Result.PASSED, 1000)
    assert result.figures["recoveryMilliseconds"] == (RECOVERED - HEAL) // 1_000_000


def test_a_gap_that_is_too_long_fails_and_is_measured() -> None:
    story = loaded()
    gone = {e.key for e in story.events if e.f == "deposit" and PROVEN <= e.t_ns < PROVEN + 8 * SECOND}
    story.events = [e for e in story.events if e.key not in gone]
    result = judge(AVAILABLE, story)
    assert result.result is Result.FAILED
    assert 8000 <= result.figures["longestGapMilliseconds"] <= 8300


@given(hole=st.floats(0.0, 11.0), unanswered=st.integers(0, 40), share=st.floats(0.5, 1.0), gap=st.floats(0.5, 10.0))
@settings(deadline=None, max_examples=80)
def test_availability_passes_exactly_where_share_and_gap_are_within_their_bounds(
    hole: float, unanswered: int, share: float, gap: float
) -> None:
    story = loaded(every=0.25)
    gone = {
        e.key for e in story.events if e.f == "deposit" and e.type == "ok" and PROVEN <= e.t_ns < PROVEN + hole * SECOND
    }
    story.events = [e for e in story.events if e.key not in gone]
    for number in range(unanswered):
        story.operation("transfer", {}, PROVEN + number, PROVEN + SECOND, "info", key=f"x{number}", status=None)
    ends = sorted(e.t_ns for e in story.events if e.f == "deposit" and e.type == "ok" and e.t_ns >= BASELINE)
    longest = max(b - a for a, b in pairwise([BASELINE, *ends])) / SECOND
    asked = sum(e.f == "deposit" and e.type == "invoke" and PROVEN <= e.t_ns < HEAL for e in story.events)
    assume(abs(longest - gap) > 0.01)
    result = judge(Availability(share=share, gap=gap, accepted=1), story)
    assert (result.result is Result.PASSED) == (asked >= share * (asked + unanswered) and longest <= gap)


def test_unanswered_requests_lower_the_share() -> None:
    story = loaded()
    for number in range(40):
        story.operation("transfer", {}, PROVEN + number, PROVEN + SECOND, "info", key=f"x{number}", status=None)
    assert "were answered" in judge(AVAILABLE, story).message


def test_a_refusal_with_a_business_reason_is_an_answer() -> None:
    story = loaded()
    for number in range(40):
        story.operation("transfer", {}, PROVEN + number, PROVEN + SECOND, "fail", key=f"x{number}", status=409)
    assert judge(AVAILABLE, story).result is Result.PASSED


def test_a_recovery_that_never_came_fails() -> None:
    story = loaded()
    story.events = [e for e in story.events if e.f != "recovered"]
    assert "not reached again" in judge(AVAILABLE, story).message


@given(recovery=st.integers(1, 10**12), deadline=st.integers(1, 10**12))
@settings(deadline=None, max_examples=60)
def test_recovery_is_in_time_only_up_to_the_deadline_counted_from_when_healing_was_asked_for(
    recovery: int, deadline: int
) -> None:
    story = loaded(every=1.0)
    story.change(lambda e: e.f == "recovered", lambda e: replace(e, value={"since_ns": HEAL + recovery}))
    story.recovery_seconds = deadline / SECOND
    result = judge(Availability(share=0.0, gap=60.0, accepted=0), story)
    assert (result.result is Result.PASSED) == (recovery <= deadline)
    if result.result is Result.FAILED:
        assert "after healing was asked for" in result.message
        assert result.figures["recoveryMilliseconds"] == recovery // 1_000_000


def test_accepting_nothing_under_the_fault_fails_even_where_everything_was_answered() -> None:
    story = loaded()
    story.change(
        lambda e: e.f == "deposit" and e.type == "ok" and PROVEN <= e.t_ns < HEAL + SECOND,
        lambda e: type(e)(e.i, e.t_ns, e.scenario, e.process, "fail", e.f, e.key, {}, e.target, 409, "account_frozen"),
    )
    assert "0 writes were accepted" in judge(Availability(share=0.5, gap=60.0, accepted=10), story).message


@pytest.mark.parametrize("checker", [AVAILABLE, NoFinalFailure(), Latency(), LagGrowsAndReturns(), Replication(),
                                     HealthSays(frozenset({"ok"})), MinorityRejects("b"), MajorityAccepts("a"),
                                     TenOfHundred()], ids=lambda c: c.name)  # fmt: skip
def test_without_samples_no_check_passes(checker: Checker) -> None:
    assert judge(checker, Story()).result is Result.INCONCLUSIVE
    assert judge(checker, Story().nemesis()).result is Result.INCONCLUSIVE


def interrupted(began: int = PROVEN, ended: int = PROVEN + SECOND, **answered: int) -> Story:
    """A load in which one request was repeated: by its client, or (`forwarded_attempts`) by the load balancer."""
    story = loaded()
    story.operation(
        "transfer", {}, began, ended, "ok", answered or {"attempts": 2}, key="repeated", process="client-repeated"
    )
    return story


@pytest.mark.parametrize(
    ("story", "result"),
    [
        (interrupted(attempts=2), Result.PASSED),
        (interrupted(attempts=1, forwarded_attempts=2), Result.PASSED),
        (interrupted(INJECT - 9, INJECT + 9, attempts=2), Result.PASSED),
        (interrupted(attempts=1), Result.INCONCLUSIVE),
        (interrupted(attempts=1, forwarded_attempts=1), Result.INCONCLUSIVE),
        (interrupted(BASELINE, BASELINE + 9, attempts=2), Result.INCONCLUSIVE),
        (interrupted(HEAL + 1, HEAL + 9, attempts=2), Result.INCONCLUSIVE),
        (loaded(), Result.INCONCLUSIVE),
    ],
    ids=["client-repeated", "load-balancer-repeated", "under-way-as-it-began", "answered-at-once", "forwarded-once",
         "before-the-fault", "after-it", "none-repeated"],
)  # fmt: skip
def test_crashes_that_interrupted_no_request_prove_nothing(story: Story, result: Result) -> None:
    assert judge(NoFinalFailure(), story).result is result


requests = st.tuples(st.integers(INJECT, HEAL - SECOND), st.integers(1, 4), st.sampled_from(["ok", "fail", "info"]))


@given(st.lists(requests, max_size=8))
@settings(deadline=None, max_examples=60)
def test_no_final_failure_passes_exactly_where_all_were_answered_and_one_was_repeated(
    asked: list[tuple[int, int, Literal["ok", "fail", "info"]]],
) -> None:
    story = loaded(every=2.0)
    for number, (began, attempts, outcome) in enumerate(asked):
        status = {"ok": 201, "fail": 409, "info": None}[outcome]
        story.operation(
            "transfer", {}, began, began + SECOND, outcome, {"attempts": attempts}, key=f"x{number}", status=status
        )
    expected = (
        Result.FAILED if any(outcome == "info" for _, _, outcome in asked)
        else Result.PASSED if any(attempts > 1 for _, attempts, _ in asked) else Result.INCONCLUSIVE
    )  # fmt: skip
    assert judge(NoFinalFailure(), story).result is expected


def test_one_client_left_without_an_answer_is_a_final_failure() -> None:
    story = interrupted()
    assert judge(NoFinalFailure(), story).result is Result.PASSED
    story.operation("transfer", {}, PROVEN, PROVEN + SECOND, "info", key="left", status=None)
    assert "left was never answered" in judge(NoFinalFailure(), story).message


# ---- latency -----------------------------------------------------------------------------------------------------


def test_latency_within_the_factor_passes_and_beyond_it_fails() -> None:
    checker = Latency(factor=2.0, least=0.05, samples=20)
    assert judge(checker, loaded(latency=0.1, under_fault=0.19)).result is Result.PASSED
    assert judge(checker, loaded(latency=0.1, under_fault=0.21)).result is Result.FAILED


def test_latency_below_the_noise_of_the_machine_is_not_compared() -> None:
    assert (
        judge(Latency(factor=2.0, least=0.25, samples=20), loaded(latency=0.005, under_fault=0.4)).result
        is Result.PASSED
    )


def samples(story: Story) -> tuple[int, int]:
    """How many writes of the story were intended in the baseline, and under the fault."""
    began = [e.t_ns for e in story.events if e.type == "invoke" and e.f == "deposit"]
    return sum(BASELINE <= t < INJECT for t in began), sum(PROVEN <= t < HEAL for t in began)


def test_latency_needs_its_samples_on_both_sides_and_no_more() -> None:
    story = loaded(every=0.5)
    before, under = samples(story)
    assert before < under
    assert judge(Latency(samples=before), story).result is Result.PASSED
    few = judge(Latency(samples=before + 1), story)
    assert (few.result, f"{before} and {under} samples" in few.message) == (Result.INCONCLUSIVE, True)


def test_writes_that_were_never_answered_took_for_ever() -> None:
    checker = Latency(factor=2.0, least=0.05, samples=20)
    story = loaded()
    story.operation("transfer", {}, PROVEN, PROVEN + SECOND, "info", key="left", status=None)
    assert judge(checker, story).result is Result.PASSED  # one of 131 is less than one in a hundred
    story.operation("transfer", {}, PROVEN + 1, PROVEN + SECOND, "info", key="left2", status=503)
    result = judge(checker, story)
    assert (result.result, result.figures["faultMilliseconds"]) == (Result.FAILED, None)
    assert "2 of 132 writes were never answered" in result.message


def test_a_refusal_is_no_write_that_took_for_ever() -> None:
    story = loaded()
    for number in range(40):
        story.operation("transfer", {}, PROVEN + number, PROVEN + SECOND, "fail", key=f"x{number}", status=409)
    assert judge(Latency(samples=20), story).result is Result.PASSED


def test_latency_cannot_be_compared_with_a_baseline_that_never_ended() -> None:
    story = loaded()
    story.operation("transfer", {}, BASELINE, BASELINE + SECOND, "info", key="left", status=None)
    assert judge(Latency(samples=20), story).result is Result.INCONCLUSIVE


@pytest.mark.parametrize(("sent_late", "result"), [(0.3, Result.INCONCLUSIVE), (0.01, Result.FAILED)])
def test_requests_that_the_load_generator_sent_too_late_say_nothing_about_the_ledger(
    sent_late: float, result: Result
) -> None:
    """The ledger takes 0.1 s under the fault where the generator is late, and 0.39 s where it is not."""
    story = loaded(latency=0.1, under_fault=0.4)
    story.change(
        lambda e: e.type == "invoke" and e.intended_ns is not None and PROVEN <= e.intended_ns < HEAL,
        lambda e: replace(e, t_ns=e.t_ns + int(sent_late * SECOND)),
    )
    found = judge(Latency(factor=2.0, least=0.05, samples=20), story)
    assert found.result is result
    if result is Result.INCONCLUSIVE:
        assert "the load generator sent them up to 0.300 s late" in found.message
    else:
        assert found.figures["generatorLatenessMilliseconds"] == 10.0


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 3), st.sampled_from([0.05, 0.15, 0.25]))
@settings(deadline=None, max_examples=60)
def test_latency_passes_exactly_within_the_factor_and_with_less_than_one_in_a_hundred_unanswered(
    before: int, under: int, unanswered: int, least: float
) -> None:
    story = loaded(latency=before / 1000, under_fault=under / 1000)
    for number in range(unanswered):
        story.operation("transfer", {}, PROVEN + number, PROVEN + SECOND, "info", key=f"x{number}", status=None)
    result = judge(Latency(factor=2.0, least=least, samples=20), story)
    limit = 2000 * max(before / 1000, least)
    assume(abs(under - limit) > 0.01)  # a nanosecond of rounding decides nothing
    assert (result.result is Result.PASSED) == (under <= limit and unanswered <= 1)


# ---- health ------------------------------------------------------------------------------------------------------


def sampled(under_fault: str | None, *, before: str = "ok", after: str = "ok", target: str = "lb") -> Story:
    story = Story().nemesis()
    for t in range(BASELINE, LOAD_OFF, SECOND):
        status = before if t < INJECT else under_fault if PROVEN <= t < HEAL else after
        story.health(t, status, target)
    return story


DEGRADED = HealthSays(frozenset({"degraded"}), within=3.0)


def test_health_that_told_the_truth_passes() -> None:
    assert judge(DEGRADED, sampled("degraded")).result is Result.PASSED


@pytest.mark.parametrize(
    "story",
    [sampled("ok"), sampled("down"), sampled(None), sampled("degraded", before="degraded"),
     sampled("degraded", after="degraded")],
    ids=["says-ok-under-the-fault", "says-down", "says-nothing", "says-degraded-before", "says-degraded-at-the-end"],
)  # fmt: skip
def test_health_that_did_not_tell_the_truth_fails(story: Story) -> None:
    assert judge(DEGRADED, story).result is Result.FAILED


def test_health_may_take_its_time_to_notice_but_no_more() -> None:
    story = sampled("degraded")
    story.health(PROVEN + 2 * SECOND + 1, "ok")
    assert judge(DEGRADED, story).result is Result.PASSED
    story.health(PROVEN + 4 * SECOND + 1, "ok")
    assert judge(DEGRADED, story).result is Result.FAILED


def test_no_answer_can_be_the_truth_of_a_region_that_is_cut_off() -> None:
    checker = HealthSays(frozenset({"down", "none"}), where="region-b")
    assert judge(checker, sampled(None, target="region-b/1")).result is Result.PASSED
    assert judge(checker, sampled("ok", target="region-b/1")).result is Result.FAILED


def test_a_sample_that_was_under_way_at_the_end_says_nothing() -> None:
    story = sampled("degraded")
    story.event(LOAD_OFF, "health-lb", "invoke", "health", key="last", target="lb")
    assert judge(DEGRADED, story).result is Result.PASSED
    story.health(LOAD_OFF + 1, None)
    assert "still said none at the end" in judge(DEGRADED, story).message


def test_from_when_it_must_have_noticed_ok_is_denial_while_a_stall_may_still_be_told() -> None:
    checker = HealthSays(frozenset({"degraded"}), within=8.0, notices=5.0)
    story = sampled("degraded")
    story.health(PROVEN + 4 * SECOND + 1, "ok")
    story.health(PROVEN + 6 * SECOND + 1, "down")
    story.health(PROVEN + 7 * SECOND + 1, None)
    assert judge(checker, story).result is Result.PASSED
    denied = story.copy()
    denied.health(PROVEN + 6 * SECOND + 2, "ok")
    assert "said ok 6.0 s into the fault" in judge(checker, denied).message
    story.health(PROVEN + 9 * SECOND + 1, "down")
    assert "said down 9.0 s into the fault" in judge(checker, story).message


def test_an_unanswered_sample_before_the_fault_counts_and_one_that_the_fault_cut_off_does_not() -> None:
    story = sampled("degraded")
    story.operation("health", {}, INJECT - 1, INJECT + 9, "info", process="health-x", key="cut", status=None)
    assert judge(DEGRADED, story).result is Result.PASSED
    story.health(INJECT - SECOND + 1, None)
    assert "said none before the fault" in judge(DEGRADED, story).message


def test_without_a_sample_after_recovery_nobody_knows() -> None:
    story = sampled("degraded")
    late = {e.key for e in story.events if e.f == "health" and e.t_ns >= RECOVERED}
    story.events = [e for e in story.events if e.key is None or e.key not in late]
    assert judge(DEGRADED, story).result is Result.INCONCLUSIVE
    story.health(PROVEN + 9 * SECOND + 1, "ok")
    assert judge(DEGRADED, story).result is Result.FAILED  # what is known to be wrong stays so


def test_the_last_word_of_each_instance_counts() -> None:
    checker = HealthSays(frozenset({"degraded"}), where="region-a", within=3.0)
    story = sampled("degraded", target="region-a/1")
    story.health(LOAD_OFF - 2 * SECOND + 1, "ok", "region-a/2")
    assert judge(checker, story).result is Result.PASSED
    story.health(LOAD_OFF - 2 * SECOND + 2, "degraded", "region-a/2")
    assert "region-a/2 still said degraded" in judge(checker, story).message


@pytest.mark.parametrize(
    ("facts", "result"),
    [({"database": "degraded", "nodes_live": 2, "nodes_total": 3}, Result.PASSED),
     ({"database": "down"}, Result.PASSED),
     ({"database": "ok", "nats": "down", "nodes_live": 3, "nodes_total": 3}, Result.FAILED),
     ({"nats": "down"}, Result.FAILED),
     ({"database": "degraded", "nodes_live": 3, "nodes_total": 3, "underreplicated": 4}, Result.PASSED),
     ({"database": "degraded", "nodes_live": 3, "nodes_total": 3}, Result.PASSED),
     ({"database": "degraded", "nodes_live": 3, "nodes_total": 3, "underreplicated": 0}, Result.FAILED)],
    ids=["for-the-node", "nodes-not-counted", "for-nats", "database-not-mentioned", "for-the-node-s-replicas",
         "ranges-not-counted", "with-nothing-missing"],
)  # fmt: skip
def test_degraded_for_another_reason_is_not_the_truth(facts: dict[str, object], result: Result) -> None:
    checker = HealthSays(frozenset({"degraded"}), within=3.0, blames="database", counts_missing=True)
    story = sampled("degraded")
    story.change(
        lambda e: e.f == "health" and e.type == "ok" and e.value["status"] == "degraded",
        lambda e: replace(e, value={**e.value, **facts}),
    )
    assert judge(checker, story).result is result


def stalled(said: str, *, attempts: int = 1, took: float = 1.2, facts: dict[str, Any] | None = None) -> Story:
    """Five seconds into the fault `/health` says `said`, where it should say ok; a transfer is slow meanwhile."""
    story = sampled("ok")
    at = PROVEN + 5 * SECOND + 1
    facts = {"database": said, "nodes_live": 3, "nodes_total": 3} if facts is None else facts
    story.health(at, said, **facts)
    began = at - int(took * SECOND)
    story.operation("transfer", {}, began, at, answered={"attempts": attempts}, key="slow")
    return story


FINE = HealthSays(frozenset({"ok"}), within=0.0)


@pytest.mark.parametrize("said", ["degraded", "down"])
def test_a_stall_of_the_database_that_clients_felt_is_told_truly(said: str) -> None:
    result = judge(FINE, stalled(said))
    assert result.result is Result.PASSED
    assert result.figures["stalls"] == 1
    assert "1 times worse during stalls" in result.message


@pytest.mark.parametrize(
    "story",
    [stalled("degraded", took=0.9), stalled("degraded", attempts=2),
     stalled("degraded", facts={"database": "ok", "nats": "down", "nodes_live": 3, "nodes_total": 3}),
     stalled("degraded", facts={"database": "degraded", "nodes_live": 2, "nodes_total": 3}),
     stalled("degraded", facts={"database": "degraded", "nodes_live": 3, "nodes_total": 3, "underreplicated": 4})],
    ids=["nobody-felt-it", "felt-by-one-who-had-to-ask-again", "blames-nats", "misses-a-node", "misses-replicas"],
)  # fmt: skip
def test_a_report_worse_than_the_truth_is_no_stall_unless_clients_felt_it_and_nothing_is_said_to_be_missing(
    story: Story,
) -> None:
    assert judge(FINE, story).result is Result.FAILED


def test_a_stall_that_was_over_long_before_excuses_nothing() -> None:
    story = sampled("ok")
    story.operation("transfer", {}, PROVEN, PROVEN + 2 * SECOND, answered={"attempts": 1}, key="slow")
    story.health(PROVEN + 5 * SECOND + 1, "degraded", database="degraded", nodes_live=3, nodes_total=3)
    assert judge(FINE, story).result is Result.FAILED


def test_a_stall_is_no_excuse_for_ok_nor_for_silence_and_not_before_the_fault() -> None:
    slow: dict[str, Any] = {"answered": {"attempts": 1}, "key": "slow"}
    denied = sampled("degraded")
    denied.health(PROVEN + 5 * SECOND + 1, "ok", database="ok", nodes_live=3, nodes_total=3)
    denied.operation("transfer", {}, PROVEN + 4 * SECOND, PROVEN + 6 * SECOND, **slow)
    assert judge(DEGRADED, denied).result is Result.FAILED
    silent = sampled("ok")
    silent.health(PROVEN + 5 * SECOND + 1, None)
    silent.operation("transfer", {}, PROVEN + 4 * SECOND, PROVEN + 6 * SECOND, **slow)
    assert judge(FINE, silent).result is Result.FAILED
    early = sampled("ok")
    early.health(INJECT - SECOND + 1, "degraded", database="degraded", nodes_live=3, nodes_total=3)
    early.operation("transfer", {}, INJECT - 2 * SECOND, INJECT, **slow)
    assert judge(FINE, early).result is Result.FAILED


def test_where_every_report_told_of_a_stall_nobody_knows_what_it_says_of_the_fault() -> None:
    story = Story().nemesis()
    story.health(BASELINE, "ok")
    story.health(LOAD_OFF - SECOND, "ok")
    story.health(PROVEN + 5 * SECOND, "down", database="down")
    story.operation("transfer", {}, PROVEN + 4 * SECOND, PROVEN + 6 * SECOND, answered={"attempts": 1}, key="slow")
    assert judge(FINE, story).result is Result.INCONCLUSIVE


statuses = st.sampled_from(["ok", "degraded", "down", None])


@given(st.lists(statuses, min_size=12, max_size=12), st.lists(statuses, min_size=3, max_size=3), statuses)
@settings(deadline=None, max_examples=100)
def test_health_passes_exactly_where_every_word_was_true(
    under: list[str | None], before: list[str | None], last: str | None
) -> None:
    checker = HealthSays(frozenset({"degraded"}), within=8.0, notices=5.0)
    story = Story().nemesis()
    for second, status in enumerate(before):
        story.health(BASELINE + second * SECOND, status)
    for second, status in enumerate(under):
        story.health(PROVEN + second * SECOND, status)
    story.health(LOAD_OFF - SECOND, last)
    true = set(before) == {"ok"} and "ok" not in under[5:8] and set(under[8:]) == {"degraded"} and last == "ok"
    assert judge(checker, story).result is (Result.PASSED if true else Result.FAILED)


# ---- lag and replication -----------------------------------------------------------------------------------------


ACCEPTED = 130
"""How many writes `loaded` has accepted under the fault."""


def lagging(under_fault: int, last: int | None, before: int = 0) -> Story:
    story = loaded()
    story.health(BASELINE + SECOND, "ok", lag_events=before)
    story.health(PROVEN + SECOND, "degraded", lag_events=under_fault)
    story.final.lag_events = last
    return story


def test_lag_that_grows_and_returns_to_zero_passes() -> None:
    result = judge(LagGrowsAndReturns(), lagging(120, 0))
    assert (result.result, result.figures["largest"]) == (Result.PASSED, 120)


@pytest.mark.parametrize(
    "story", [lagging(0, 0), lagging(1, 0, before=7), lagging(7, 0, before=7), lagging(20, 0), lagging(120, 3)],
    ids=["never-grew", "shrank", "stayed", "grew-by-few-of-what-was-accepted", "never-returned"],
)  # fmt: skip
def test_lag_that_does_not_show_or_stays_fails(story: Story) -> None:
    assert judge(LagGrowsAndReturns(), story).result is Result.FAILED


@given(before=st.integers(0, 300), under=st.integers(0, 300), last=st.integers(0, 2))
@settings(deadline=None, max_examples=60)
def test_lag_passes_exactly_where_it_grew_by_half_of_what_was_accepted_and_returned(
    before: int, under: int, last: int
) -> None:
    result = judge(LagGrowsAndReturns(share=0.5), lagging(under, last, before)).result
    assert (result is Result.PASSED) == (under - before >= ACCEPTED / 2 and last == 0)


def test_lag_cannot_be_told_without_a_sample_before_the_fault_or_without_a_write_under_it() -> None:
    story = lagging(120, 0)
    story.events = [e for e in story.events if not (e.f == "health" and e.t_ns < INJECT)]
    assert judge(LagGrowsAndReturns(), story).result is Result.INCONCLUSIVE
    story = lagging(120, 0)
    story.events = [e for e in story.events if e.f != "deposit"]
    assert judge(LagGrowsAndReturns(), story).result is Result.INCONCLUSIVE


def test_an_outbox_that_is_not_empty_at_the_end_fails() -> None:
    story = lagging(120, 0)
    story.final.backlog = 4
    assert "outbox" in judge(LagGrowsAndReturns(), story).message


def replicated(live: int, ranges: int, live_after: int, ranges_after: int) -> Story:
    story = Story().nemesis()
    story.health(PROVEN + SECOND, "degraded", nodes_live=live, nodes_total=3, underreplicated=ranges)
    story.health(HEAL + 2 * SECOND, "degraded", nodes_live=3, nodes_total=3, underreplicated=4)
    story.health(HEAL + 4 * SECOND, "ok", nodes_live=live_after, nodes_total=3, underreplicated=ranges_after)
    return story


def test_replication_that_becomes_whole_in_time_passes() -> None:
    result = judge(Replication(), replicated(2, 9, 3, 0))
    assert (result.result, result.figures["wholeAfterMilliseconds"]) == (Result.PASSED, 4000)


@pytest.mark.parametrize(
    "story", [replicated(2, 9, 3, 1), replicated(2, 9, 2, 0), replicated(3, 0, 3, 0)],
    ids=["ranges-stay-under-replicated", "node-stays-away", "nothing-was-ever-away"],
)  # fmt: skip
def test_replication_that_stays_broken_or_never_broke_fails(story: Story) -> None:
    assert judge(Replication(), story).result is Result.FAILED


def test_replication_that_was_whole_for_a_moment_is_whole_only_from_when_it_stays_so() -> None:
    story = replicated(2, 9, 3, 0)
    story.health(HEAL + 6 * SECOND, "degraded", nodes_live=3, nodes_total=3, underreplicated=1)
    assert judge(Replication(), story).result is Result.FAILED
    story.health(HEAL + 8 * SECOND, "ok", nodes_live=3, nodes_total=3, underreplicated=0)
    assert judge(Replication(), story).figures["wholeAfterMilliseconds"] == 8000


def test_a_sample_that_does_not_say_how_many_ranges_lack_replicas_proves_nothing_either_way() -> None:
    story = replicated(2, 9, 3, 0)
    story.health(HEAL + 6 * SECOND, "ok", nodes_live=3, nodes_total=3)
    assert judge(Replication(), story).figures["wholeAfterMilliseconds"] == 4000
    story.health(HEAL + 7 * SECOND, "degraded", nodes_live=2, nodes_total=3)
    assert judge(Replication(), story).result is Result.FAILED


replication_samples = st.lists(
    st.tuples(st.integers(2, 3), st.one_of(st.none(), st.integers(0, 2))), min_size=1, max_size=12
)


@given(replication_samples, st.integers(1, 15))
@settings(deadline=None, max_examples=100)
def test_replication_passes_exactly_where_it_is_whole_in_time_and_to_the_end(
    samples: list[tuple[int, int | None]], deadline: int
) -> None:
    story = Story().nemesis()
    story.recovery_seconds = float(deadline)
    story.health(PROVEN + SECOND, "degraded", nodes_live=2, nodes_total=3, underreplicated=3)
    for second, (live, ranges) in enumerate(samples, 1):
        facts: dict[str, Any] = {} if ranges is None else {"underreplicated": ranges}
        story.health(HEAL + second * SECOND, "ok", nodes_live=live, nodes_total=3, **facts)
    broken = [n for n, (live, ranges) in enumerate(samples, 1) if live < 3 or ranges]
    whole = [n for n, said in enumerate(samples, 1) if said == (3, 0) and n > max(broken, default=0)]
    in_time = bool(whole) and min(whole) <= deadline
    assert (judge(Replication(), story).result is Result.PASSED) == in_time


def test_replication_that_comes_after_the_deadline_fails() -> None:
    story = replicated(2, 9, 3, 0)
    story.recovery_seconds = 3.0
    assert judge(Replication(), story).result is Result.FAILED


# ---- partition ---------------------------------------------------------------------------------------------------


def probed(
    status: int | None = 503, took: float = 3.0, accepted: int = 0, code: str | None = "database_unavailable"
) -> Story:
    story = loaded()
    for number in range(8):
        began = PROVEN + number * SECOND
        ok = number < accepted
        story.operation(
            "deposit", {"account_id": "p", "amount": 1, "probe": "region-b"}, began, began + int(took * SECOND),
            "ok" if ok else "info", key=f"p{number}", process=f"probe-{number}", target="region-b/1",
            status=201 if ok else status, code=None if ok else code,
        )  # fmt: skip
    return story


MINORITY = MinorityRejects("region-b", deadline=5.0)


@pytest.mark.parametrize("code", ["database_unavailable", "deadline_exceeded"])
def test_a_minority_that_refuses_in_time_passes(code: str) -> None:
    assert judge(MINORITY, probed(code=code)).result is Result.PASSED


@pytest.mark.parametrize(
    ("story", "says"),
    [(probed(accepted=1), "without a quorum"), (probed(status=None, code=None), "not with 503"),
     (probed(took=5.5), "only after 5.5 s"), (probed(status=500, code="internal_error"), "with 500 internal_error"),
     (probed(code=None), "with 503 without a code"),
     (probed(code="events_unavailable"), "with 503 events_unavailable")],
    ids=["accepts", "hangs", "too-late", "crashes", "somebody-else-answers", "for-another-reason"],
)  # fmt: skip
def test_a_minority_that_accepts_hangs_or_crashes_fails(story: Story, says: str) -> None:
    result = judge(MINORITY, story)
    assert result.result is Result.FAILED
    assert says in result.message


@given(st.lists(st.tuples(st.sampled_from(["ok", "503", "500", "hangs"]), st.floats(0.01, 9.0)), max_size=14))
@settings(deadline=None, max_examples=80)
def test_minority_rejects_passes_exactly_where_every_write_was_refused_in_time(probes: list[tuple[str, float]]) -> None:
    story = loaded(every=2.0)
    for number, (fate, took) in enumerate(probes):
        status = {"ok": 201, "503": 503, "500": 500, "hangs": None}[fate]
        story.operation(
            "deposit", {"account_id": "p", "amount": 1, "probe": "region-b"}, PROVEN + number,
            PROVEN + number + int(took * SECOND), "ok" if fate == "ok" else "info", key=f"p{number}",
            target="region-b/1", status=status, code="database_unavailable" if fate == "503" else None,
        )  # fmt: skip
    expected = (
        Result.INCONCLUSIVE if len(probes) < MINORITY.least
        else Result.PASSED if all(fate == "503" and took <= MINORITY.deadline for fate, took in probes)
        else Result.FAILED
    )  # fmt: skip
    assert judge(MINORITY, story).result is expected


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=16))
@settings(deadline=None, max_examples=80)
def test_majority_accepts_passes_exactly_where_nearly_all_late_writes_were_accepted(
    probes: list[tuple[int, bool]],
) -> None:
    checker = MajorityAccepts("region-a", settle=5.0, share=0.75, least=3)
    story = loaded(every=2.0)
    for number, (second, accepted) in enumerate(probes):
        began = PROVEN + second * SECOND + number
        story.operation(
            "deposit", {"account_id": "p", "amount": 1, "probe": "region-a"}, began, began + SECOND // 10,
            "ok" if accepted else "info", key=f"p{number}", target="region-a/1", status=201 if accepted else 503,
        )  # fmt: skip
    late = [accepted for second, accepted in probes if second >= 5]
    expected = (
        Result.INCONCLUSIVE if len(late) < 3 else Result.PASSED if sum(late) >= 0.75 * len(late) else Result.FAILED
    )
    assert judge(checker, story).result is expected


def test_a_refused_write_may_be_there_once_after_healing_but_not_twice() -> None:
    story = probed()
    story.final.transactions["t1"] = {"kind": "deposit", "key": "p1", "entries": []}
    assert judge(MINORITY, story).figures["committedAfterHealing"] == 1
    story.final.transactions["t2"] = {"kind": "deposit", "key": "p1", "entries": []}
    assert "2 times" in judge(MINORITY, story).message


def test_a_majority_that_accepts_after_leases_moved_passes_and_one_that_does_not_fails() -> None:
    checker = MajorityAccepts("region-b", settle=2.0)
    assert judge(checker, probed(accepted=8)).result is Result.PASSED
    assert judge(checker, probed(accepted=3)).result is Result.FAILED


# ---- ten of a hundred --------------------------------------------------------------------------------------------


def rounds(accepted: int, *, refusal: str = "insufficient_funds", unknown: int = 0) -> Story:
    story = Story().nemesis()
    for number in (1, 2):
        entries = [{"transaction_id": f"d{number}", "version": 1, "amount": 100, "held": 0, "balance_after": 100,
                    "held_after": 0}]  # fmt: skip
        for one in range(100):
            fate = "ok" if one < accepted else "info" if one >= 100 - unknown else "fail"
            story.operation(
                "withdrawal", {"account_id": f"r{number}", "amount": 10, "round": number}, PROVEN, PROVEN + SECOND,
                "ok" if fate == "ok" else "info" if fate == "info" else "fail", key=f"{number}/{one}",
                process=f"r{number}-{one}", target="region-a/1", status={"ok": 201, "info": None, "fail": 409}[fate],
                code=refusal if fate == "fail" else None,
            )  # fmt: skip
            if fate == "ok":
                after = entries[-1]["balance_after"]
                assert isinstance(after, int)
                entries.append({"transaction_id": f"{number}/{one}", "version": one + 2, "amount": -10, "held": 0,
                                "balance_after": after - 10, "held_after": 0})  # fmt: skip
        balance = entries[-1]["balance_after"]
        assert isinstance(balance, int)
        story.final.accounts[f"r{number}"] = FinalAccount(f"r{number}", balance, 0, 0, len(entries), entries)
    return story


def test_ten_of_a_hundred_passes_when_it_is_exactly_ten() -> None:
    assert judge(TenOfHundred(), rounds(10)).result is Result.PASSED


@pytest.mark.parametrize(
    "story", [rounds(9), rounds(11), rounds(10, refusal="version_conflict")],
    ids=["nine", "eleven", "refused-for-another-reason"],
)  # fmt: skip
def test_any_other_number_or_reason_fails(story: Story) -> None:
    assert judge(TenOfHundred(), story).result is Result.FAILED


@given(st.integers(8, 12), st.sampled_from(["insufficient_funds", "version_conflict"]), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_ten_of_a_hundred_passes_exactly_where_ten_were_accepted_and_ninety_refused_for_lack_of_funds(
    accepted: int, refusal: str, unknown: int
) -> None:
    result = judge(TenOfHundred(), rounds(accepted, refusal=refusal, unknown=unknown)).result
    assert (result is Result.PASSED) == (accepted == 10 and refusal == "insufficient_funds" and not unknown)
    assert result is not Result.PASSED or judge(TenOfHundred(rounds=3), rounds(10)).result is Result.INCONCLUSIVE


def test_ten_of_a_hundred_finds_that_its_account_is_gone() -> None:
    story = rounds(10)
    del story.final.accounts["r2"]
    story.final.absent.append("r2")
    assert "account r2 is not there" in judge(TenOfHundred(), story).message


def test_ten_of_a_hundred_cannot_tell_where_outcomes_are_unknown() -> None:
    assert judge(TenOfHundred(), rounds(10, unknown=3)).result is Result.INCONCLUSIVE


def test_eleven_accepted_fail_even_where_other_outcomes_are_unknown() -> None:
    assert judge(TenOfHundred(), rounds(11, unknown=3)).result is Result.FAILED
