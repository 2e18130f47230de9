"""Conditions tell since when something is true, and events are made of their changes alone."""

from __future__ import annotations

from datetime import UTC, datetime

from chronicle_operator.status.conditions import MESSAGE_LIMIT, Condition, is_true, merge, transitions

EARLIER = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


def test_the_time_stays_while_the_status_stays_though_the_words_change() -> None:
    first = merge([], [Condition("Ready", "False", "Starting", "0 of 3")], generation=1, now=EARLIER)
    second = merge(first, [Condition("Ready", "False", "Starting", "1 of 3")], generation=2, now=LATER)
    assert second[0]["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert second[0]["message"] == "1 of 3"
    assert second[0]["observedGeneration"] == 2


def test_the_time_moves_with_the_status() -> None:
    first = merge([], [Condition("Ready", "False", "Starting", "")], generation=1, now=EARLIER)
    second = merge(first, [Condition("Ready", "True", "AllReady", "")], generation=1, now=LATER)
    assert second[0]["lastTransitionTime"] == "2026-03-01T13:00:00Z"
    assert is_true(second, "Ready")


def test_a_condition_that_another_part_owns_is_left_alone() -> None:
    other = merge([], [Condition("ResilienceVerified", "True", "AllPassed", "5/5")], generation=1, now=EARLIER)
    both = merge(other, [Condition("Ready", "True", "AllReady", "")], generation=2, now=LATER)
    assert [item["type"] for item in both] == ["Ready", "ResilienceVerified"]
    assert both[1] == other[0]


def test_only_a_new_status_or_another_kind_of_progress_is_worth_an_event() -> None:
    before = merge(
        [],
        [Condition("Ready", "False", "Starting", "0 of 3"), Condition("Progressing", "True", "Waiting", "")],
        generation=1,
        now=EARLIER,
    )
    assert [change.type for change in transitions([], before)] == ["Progressing"], "a beginning is no news"
    other = merge(before, [Condition("Ready", "False", "PodsNotReady", "2 of 3")], generation=1, now=LATER)
    assert transitions(before, other) == []
    ready = merge(before, [Condition("Ready", "True", "AllReady", "")], generation=1, now=LATER)
    assert [change.reason for change in transitions(before, ready)] == ["AllReady"]
    rolling = merge(before, [Condition("Progressing", "True", "RollingUpdate", "")], generation=1, now=LATER)
    assert [change.reason for change in transitions(before, rolling)] == ["RollingUpdate"]


def test_an_outcome_of_the_scenarios_is_worth_an_event_though_nothing_is_proven_before_and_after() -> None:
    before = merge([], [Condition("ResilienceVerified", "Unknown", "Running", "4/5")], generation=1, now=EARLIER)
    going_on = merge(before, [Condition("ResilienceVerified", "Unknown", "Running", "5/5")], generation=1, now=LATER)
    assert transitions(before, going_on) == []
    done = merge(before, [Condition("ResilienceVerified", "Unknown", "NotAllPassed", "")], generation=1, now=LATER)
    assert [change.reason for change in transitions(before, done)] == ["NotAllPassed"]


def test_a_message_never_grows_past_what_a_person_reads() -> None:
    merged = merge([], [Condition("Ready", "False", "X", "y" * 5000)], generation=1, now=EARLIER)
    assert len(merged[0]["message"]) == MESSAGE_LIMIT
