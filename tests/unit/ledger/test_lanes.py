"""How many batches at once: fewer while replicas wait for each other, all of them again when they do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chronicle_ledger.posting.lanes import Lanes

QUICK, SLOW = (0.01, 0.05), (0.4, 0.05)
"""Seconds of locking and of writing: alone, and behind another replica."""


def test_all_lanes_are_open_until_something_collides() -> None:
    lanes = Lanes(3)
    assert lanes.width == 3
    lanes.observe(*QUICK)
    assert lanes.width == 3


def test_waiting_for_locks_leaves_one_lane_and_never_none() -> None:
    lanes = Lanes(3)
    for _ in range(10):
        lanes.observe(*SLOW)
    assert lanes.width == 1


def test_a_conflict_counts_like_a_wait() -> None:
    lanes = Lanes(3)
    lanes.narrow()
    assert lanes.width == 1


def test_lanes_open_again_one_after_the_other() -> None:
    lanes = Lanes(3)
    for _ in range(5):
        lanes.narrow()
    widths = []
    for _ in range(12):
        lanes.observe(*QUICK)
        widths.append(lanes.width)
    assert widths == sorted(widths)
    assert set(widths) == {1, 2, 3}


@given(st.integers(1, 8), st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10))))
def test_the_width_stays_between_one_and_the_most(most: int, batches: list[tuple[float, float]]) -> None:
    lanes = Lanes(most)
    for locking, writing in batches:
        lanes.observe(locking, writing)
        assert 1 <= lanes.width <= most
