"""When a backup is due, and which of them begins a chain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chronicle_operator.backups import plan
from chronicle_operator.status.conditions import timestamp

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
SCHEDULES = st.sampled_from(["0 2 * * *", "*/5 * * * *", "17 * * * *", "0 0 1 1 *"])


@given(schedule=SCHEDULES, looks=st.lists(st.integers(1, 40_000), min_size=1, max_size=60))
def test_each_planned_time_has_one_backup_and_a_downtime_one_for_all_that_were_missed(
    schedule: str, looks: list[int]
) -> None:
    planned: str | None = None
    made: list[str] = []
    now = START
    for pause in looks:
        found = plan.due(schedule, planned, "books", "uid", now)
        assert plan.due(schedule, planned, "books", "uid", now) == found, "an operator that forgets says the same again"
        if found.name is not None:
            made.append(found.name)
        assert found.next_time is not None
        assert found.next_time > now
        planned = timestamp(found.next_time)
        now += timedelta(seconds=pause)
    assert len(set(made)) == len(made), "no name twice"
    assert made[0].startswith("books-first-")
    assert all(len(it) <= 63 for it in made)


@given(minutes=st.integers(0, 100_000))
def test_a_schedule_that_is_changed_to_an_earlier_time_counts_at_once(minutes: int) -> None:
    now = START + timedelta(minutes=minutes)
    late = timestamp(now + timedelta(days=300))
    found = plan.due("*/5 * * * *", late, "books", "uid", now)
    assert found.next_time is not None
    assert found.next_time - now <= timedelta(minutes=5)
    assert plan.due("never", late, "books", "uid", now).problem
    assert plan.due(None, late, "books", "uid", now) == plan.Due()


def backup(kind: str, number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"b{number}"}, "status": {"kind": kind, "id": f"{number:03}", "phase": "Succeeded"}}


@given(every=st.integers(1, 9), count=st.integers(0, 40))
def test_chains_have_the_length_that_is_asked_for(every: int, count: int) -> None:
    made: list[dict[str, Any]] = []
    for number in range(count):
        made.append(backup("Full" if plan.is_full(made, every) else "Incremental", number))
    assert [place for place, it in enumerate(made) if it["status"]["kind"] == "Full"] == list(range(0, count, every))


def test_only_backups_of_this_very_ledger_at_this_place_are_continued() -> None:
    here = {"url": "s3://b/x"}
    found = [backup("Full", number) for number in range(4)]
    for it, uid, place in zip(found, ("old", "mine", "mine", "mine"), (here, here, {"url": "s3://b/y"}, here),
                              strict=True):  # fmt: skip
        it["status"] |= {"ledgerUID": uid, "place": place}
    found[3]["status"]["phase"] = "Failed"
    assert [it["metadata"]["name"] for it in plan.succeeded(found, "mine", here)] == ["b1"]


def test_a_failure_is_tried_again_soon_but_no_later_than_planned() -> None:
    assert plan.soon("0 0 1 1 *", START) == timestamp(START + plan.RETRY)
    assert plan.soon("*/5 * * * *", START) == "2026-03-01T12:05:00Z"
    assert plan.soon(None, START) is None
    assert plan.soon("never", START) is None
