"""The steps of each fault, on hands in memory: their order, what each way out takes back, and what is no proof."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chronicle_chaos.faults import crashes, fault
from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component, Fault
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.by_hands import ClusterInjector
from chronicle_chaos.injectors.injection import InjectionError, NotApplicable, Observation, PreflightError
from chronicle_chaos.judge.verdict import Stop, Verdict, judge
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.record.journal import ScenarioRecord
from chronicle_chaos.run.fault_run import FaultRun, Stopped
from chronicle_chaos.run.phases import Phases
from chronicle_chaos.run.undo import FileUndoLog
from chronicle_chaos.scenarios.scenario import Deadlines, Scenario
from support.memory_hands import MemoryHands

KILL, CRASH, OUTAGE, CUT = NodeKill(Component.COCKROACH), Crashes(Component.API, 3), Outage(Component.NATS), Partition()
FAULTS: list[Fault] = [KILL, CRASH, OUTAGE, CUT]
ALL_WAYS = [
    (KILL, ["seen n2", "record start n2", "kill n2"]),
    (CRASH, ["record start n1, n2, n3", "crash {victim}"]),
    (OUTAGE, ["heard", "record start n1, n2, n3", "shut"]),
    (CUT, ["connected", "hold", "record join", "cut", "settle"]),
]

every = pytest.mark.parametrize("done", FAULTS, ids=lambda one: type(one).__name__)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is waited for briefly."""
    for name in ("SOUND_SECONDS", "LAST_LOOK_SECONDS"):
        monkeypatch.setattr(fault, name, 0.03)
    for name in ("LATE_SECONDS", "GONE_SECONDS"):
        monkeypatch.setattr(crashes, name, 0.03)
    for module in (fault, crashes):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


def injector_of(hands: MemoryHands) -> ClusterInjector:
    return ClusterInjector("Memory", "process", hands)


@pytest.mark.parametrize(("done", "steps"), ALL_WAYS, ids=lambda one: type(one).__name__)
async def test_what_was_before_is_looked_at_then_the_way_back_is_recorded_and_then_it_is_begun(
    done: Fault, steps: list[str]
) -> None:
    hands = MemoryHands()
    injection = await injector_of(hands).inject(done, hands, Random(3))
    assert hands.steps == [step.format(victim=injection.targets[0]) for step in steps]


@every
async def test_where_the_way_back_cannot_be_recorded_nothing_is_broken(done: Fault) -> None:
    hands = MemoryHands(refuses="record")
    with pytest.raises(InjectionError, match="no record"):
        await injector_of(hands).inject(done, hands, Random(1))
    assert not {"kill n2", "shut", "cut"} & set(hands.steps)
    assert not any(step.startswith("crash") for step in hands.steps)


@every
async def test_a_fault_is_shown_lasts_is_taken_back_and_then_shown_to_be_gone(done: Fault) -> None:
    hands = MemoryHands()
    injector = injector_of(hands)
    injection = await injector.inject(done, hands, Random(1))
    assert (await injector.evidence(injection)).proven
    during = await injector.during(injection, 0.03)
    assert during
    assert all(one.shows_fault for one in during)
    for _ in range(2):
        await injector.heal(injection)
    assert (await injector.healed(injection)).proven
    assert (done is CRASH) == (await injector.evidence(injection)).proven, "a crash was, and stays so"


@every
async def test_hands_that_do_nothing_show_no_fault_at_any_time(done: Fault) -> None:
    hands = MemoryHands(idle=True)
    injector = injector_of(hands)
    injection = await injector.inject(done, hands, Random(1))
    assert not (await injector.evidence(injection)).proven
    assert not all(one.shows_fault for one in await injector.during(injection, 0.03))


def fault_run(done: Fault, hands: MemoryHands, folder: Path, activities: Any = (), *, prove: float = 45.0) -> FaultRun:
    scenario = Scenario(
        name="a-fault", title="", claim="", fault=done, window=0.03, recovery=1.0, checks=(),
        deadlines=Deadlines(prove=prove),
    )  # fmt: skip
    record, clock = ScenarioRecord(scenario.name, ""), RunClock()
    phases = Phases(record, clock, lambda: None, lambda *_: None)
    undo = FileUndoLog(folder / "undo.jsonl", scenario.name)
    recorder = Recorder(None, clock)
    return FaultRun(scenario, record, injector_of(hands), undo, Random(1), phases, recorder, activities)


@every
async def test_a_fault_without_evidence_is_inconclusive_and_taken_back(done: Fault, tmp_path: Path) -> None:
    hands = MemoryHands(idle=True)
    run = fault_run(done, hands, tmp_path, prove=0.1)
    with pytest.raises(Stopped) as stopped:
        await run.run()
    assert stopped.value.stop is Stop.FAULT_UNPROVEN
    assert judge(stopped.value.stop, str(stopped.value), []).verdict is Verdict.INCONCLUSIVE
    assert not run.record.fault_confirmed
    assert hands.steps[-1].startswith("mend")
    assert run.record.cleanup.result == "Clean"


@pytest.mark.parametrize(
    ("done", "refuses"), [(KILL, "kill"), (CRASH, "crash"), (OUTAGE, "shut"), (CUT, "hold"), (CUT, "cut")],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)  # fmt: skip
async def test_a_beginning_that_fails_half_way_is_taken_back(done: Fault, refuses: str, tmp_path: Path) -> None:
    hands = MemoryHands(refuses=refuses)
    run = fault_run(done, hands, tmp_path)
    with pytest.raises(Stopped, match=f"no {refuses}") as stopped:
        await run.run()
    assert stopped.value.stop is Stop.INJECTION_FAILED
    assert hands.steps[-1].startswith("mend")
    assert ("let go" in hands.steps) == (refuses == "cut"), "what was held is let go of, and only that"


@every
async def test_a_run_that_is_interrupted_under_the_fault_takes_it_back(done: Fault, tmp_path: Path) -> None:
    hands = MemoryHands()
    under_way = asyncio.Event()

    async def act(seconds: float) -> None:
        del seconds
        under_way.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(fault_run(done, hands, tmp_path, [act]).run())
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hands.steps[-1].startswith("mend")
    assert not hands.out
    assert not hands.apart_now


@pytest.mark.parametrize("done", [KILL, CRASH, OUTAGE], ids=lambda one: type(one).__name__)
async def test_nothing_is_begun_where_an_instance_is_not_ready(done: Fault) -> None:
    hands = MemoryHands(out={"n3"})
    with pytest.raises(PreflightError, match=r"2 of 3 .* instances are ready") as refusal:
        await injector_of(hands).preflight(done)
    assert refusal.value.next_step == "start them"


async def test_an_instance_that_is_ready_a_little_later_is_waited_for() -> None:
    hands = MemoryHands(out={"n3"})
    asyncio.get_running_loop().call_later(0.01, hands.out.clear)
    await injector_of(hands).preflight(OUTAGE)


async def test_one_instance_alone_is_not_crashed() -> None:
    hands = MemoryHands()
    hands.known = hands.known[:1]
    with pytest.raises(NotApplicable) as refusal:
        await injector_of(hands).preflight(CRASH)
    assert refusal.value.next_step == "more of api"


@every
async def test_what_a_dead_run_left_is_swept_before_the_fault_is_prepared(done: Fault) -> None:
    hands = MemoryHands()
    await injector_of(hands).preflight(done)
    assert hands.steps[:2] == ["usable", "sweep"]
    assert done.needs_quorum == ("quorum" in hands.steps)


async def test_the_first_crash_too_leaves_another_instance_ready() -> None:
    hands = MemoryHands(out={"n1", "n2"})
    with pytest.raises(InjectionError, match="1 of 3 instances were ready, and one has to be left"):
        await injector_of(hands).inject(CRASH, hands, Random(1))
    assert not any(step.startswith("crash") for step in hands.steps)


async def test_where_leases_cannot_be_told_a_node_that_is_ready_is_killed() -> None:
    hands = MemoryHands(leases=False, out={"n1", "n3"})
    kill = await injector_of(hands).inject(KILL, hands, Random(1))
    assert kill.targets == ("n2",)


async def test_a_node_that_ran_again_in_its_window_disproves_the_kill() -> None:
    hands = MemoryHands()
    injector = injector_of(hands)
    kill = await injector.inject(KILL, hands, Random(1))
    asyncio.get_running_loop().call_later(0.01, hands.out.clear)
    assert [one.after for one in await injector.during(kill, 0.05) if not one.shows_fault] == ["there"]


async def test_an_authority_that_does_not_answer_at_the_windows_end_is_asked_again() -> None:
    class Passing(InjectionError):
        passing = True

    class Forgetful(MemoryHands):
        asked = 0

        async def silent(self, component: Component, before: Any) -> Sequence[Observation]:
            self.asked += 1
            if self.asked == 1:
                raise Passing("not now")
            return await super().silent(component, before)

    hands = Forgetful()
    injector = injector_of(hands)
    outage = await injector.inject(OUTAGE, hands, Random(1))
    assert all(one.shows_fault for one in await injector.during(outage, 0.0))
    hands.asked = 0
    (seen,) = (await injector.evidence(outage)).observations
    assert (seen.after, seen.shows_fault) == ("did not answer: not now", False)


async def test_one_looks_until_it_is_enough_and_once_more_when_time_is_up() -> None:
    looks: list[str] = []

    async def look() -> int:
        looks.append("look")
        return len(looks)

    assert await fault.look_until(look, lambda number: number == 3, seconds=60.0) == 3
    looks.clear()
    assert await fault.look_until(look, lambda _: False, seconds=0.0) == 1
    looks.clear()
    assert await fault.look_until(look, lambda _: False, seconds=0.2) >= 2
