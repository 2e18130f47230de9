"""Contention shows that it was there: every withdrawal of a round under way at one moment, on every instance."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronicle_chaos.faults.contention import WithdrawalRounds, peak_under_way
from chronicle_chaos.injectors.by_hands import ByHands
from chronicle_chaos.injectors.injection import Injection
from chronicle_chaos.load.client import open_client
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.history import Operation, Recorder
from chronicle_chaos.target import Target
from support.fake_control import Undone
from support.memory_ledger import MemoryLedger, serving


def operation(began: int, ended: int | None) -> Operation:
    return Operation("p", "withdrawal", None, "lb", began, began, ended, ended, "ok" if ended else "info", {}, {})


@given(st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(1, 50))), max_size=20))
def test_the_peak_is_the_largest_number_under_way_at_any_moment(spans: list[tuple[int, int | None]]) -> None:
    operations = [operation(began, None if took is None else began + took) for began, took in spans]

    def at(moment: int) -> int:
        return sum(o.invoked_ns <= moment and (o.completed_ns is None or moment < o.completed_ns) for o in operations)

    assert peak_under_way(operations) == max((at(o.invoked_ns) for o in operations), default=0)


async def test_all_withdrawals_of_a_round_are_under_way_at_once(tmp_path: Path) -> None:
    async with serving(MemoryLedger()) as target, open_client(target) as client:
        with Recorder(tmp_path / "history.jsonl", RunClock()) as recorder:
            injector = ByHands("Workload", "process", Stage(target, client, recorder, Random(1), "test"))
            injection = await injector.inject(WithdrawalRounds(clients=100), Undone(), Random(1))
            evidence = await injector.evidence(injection)
    assert evidence.proven
    assert evidence.observations[0].after == "100"


@pytest.mark.parametrize(("late", "shown"), [(0, True), (1, False), (40, False)])
async def test_a_round_in_which_some_came_after_others_had_ended_shows_no_contention(late: int, shown: bool) -> None:
    recorder = Recorder(None, RunClock())
    together, afterwards = [f"c{n}" for n in range(100 - late)], [f"late{n}" for n in range(late)]
    for group in (together, afterwards):
        for process in group:
            recorder.record(process, "invoke", "withdrawal", key=process, value={"round": 1}, target="region-a/1")
        for process in group:
            recorder.record(process, "ok", "withdrawal", key=process, target="region-a/1", status=201)
    target = Target("local", "http://lb", {"region-a": ("http://a",)}, "cockroachdb")
    stage = Stage(target, None, recorder, Random(1), "test")  # type: ignore[arg-type]  # nothing is asked
    first_round = Injection(WithdrawalRounds(clients=100), ())
    assert (await ByHands("Workload", "process", stage).evidence(first_round)).proven is shown
