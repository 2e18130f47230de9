"""A new template reaches the pods one at a time across regions, and only while the data is whole."""

from __future__ import annotations

from chronicle_operator.day2.rollout import BUS_SETTLE_SECONDS, Finished, Replace, Waiting, next_step
from support.operator_objects import NOW, pod, stateful_set

A, B = stateful_set("a", 2), stateful_set("b", 1)


def test_nothing_is_done_when_every_pod_has_the_template() -> None:
    pods = [pod("a", 0), pod("a", 1), pod("b", 0)]
    assert next_step([A, B], pods, whole=True, now=NOW) == Finished()


def test_the_last_pod_of_the_last_set_goes_first() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1, revision="old"), pod("b", 0, revision="old")]
    step = next_step([A, B], pods, whole=True, now=NOW)
    assert isinstance(step, Replace)
    assert (step.pod, step.uid) == ("b-0", "uid-b-0")
    assert "0 of 3" in step.message


def test_no_second_pod_goes_while_one_is_stopping() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1, revision="old"), pod("b", 0, revision="old", leaving=True)]
    step = next_step([A, B], pods, whole=True, now=NOW)
    assert isinstance(step, Waiting)
    assert "b-0 is stopping" in step.message


def test_no_second_pod_goes_while_one_is_missing() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1, revision="old")]
    assert isinstance(next_step([A, B], pods, whole=True, now=NOW), Waiting)


def test_no_second_pod_goes_while_the_new_one_is_not_ready_and_its_trouble_is_said() -> None:
    pods = [
        pod("a", 0, revision="old"),
        pod("a", 1, revision="old"),
        pod("b", 0, ready=False, waiting="ImagePullBackOff"),
    ]
    step = next_step([A, B], pods, whole=True, now=NOW)
    assert isinstance(step, Waiting)
    assert "ImagePullBackOff" in step.message


def test_no_second_pod_goes_right_after_the_new_one_became_ready() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1), pod("b", 0, ready_for=3)]
    step = next_step([A, B], pods, whole=True, now=NOW)
    assert isinstance(step, Waiting)
    assert "just become ready" in step.message


def test_how_long_a_pod_has_to_have_been_ready_is_a_matter_of_what_runs_in_it() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1), pod("b", 0, ready_for=6)]
    assert isinstance(next_step([A, B], pods, whole=True, now=NOW), Waiting)
    assert isinstance(next_step([A, B], pods, whole=True, now=NOW, settle_seconds=BUS_SETTLE_SECONDS), Replace)


def test_no_second_pod_goes_while_ranges_lack_replicas_or_nobody_knows() -> None:
    pods = [pod("a", 0, revision="old"), pod("a", 1), pod("b", 0)]
    assert isinstance(next_step([A, B], pods, whole=False, now=NOW), Waiting)
    assert isinstance(next_step([A, B], pods, whole=None, now=NOW), Waiting)
    assert isinstance(next_step([A, B], pods, whole=True, now=NOW), Replace)


def test_a_broken_rollout_can_be_taken_back_though_the_cluster_is_not_whole() -> None:
    pods = [pod("a", 0), pod("a", 1), pod("b", 0, revision="broken", ready=False, waiting="CrashLoopBackOff")]
    step = next_step([A, B], pods, whole=False, now=NOW)
    assert isinstance(step, Replace)
    assert step.pod == "b-0"


def test_nothing_is_decided_on_a_revision_that_the_controller_has_not_computed_yet() -> None:
    stale = stateful_set("a", 1, revision="old", observed=False)
    assert isinstance(next_step([stale], [pod("a", 0, revision="old")], whole=True, now=NOW), Waiting)
