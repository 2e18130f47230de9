"""Clients beside the load: there before the fault, gone after healing, and never left half-way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from chronicle_chaos.faults.fault import Fault
from chronicle_chaos.injectors.injection import Injection, UndoLog
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import NoFinalFailure
from chronicle_chaos.load.pressure import Pressure
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.load.steadiness import SteadyState
from chronicle_chaos.record.history import NEMESIS, read_histories
from chronicle_chaos.run.background import under_way
from chronicle_chaos.run.engine import run_all
from chronicle_chaos.run.options import RunOptions, new_run
from chronicle_chaos.scenarios.api_crash import SCENARIO
from support.memory_ledger import MemoryInjector, MemoryLedger, serving


@dataclass
class Noted:
    """Writes down what becomes of it."""

    fails: bool = False
    notes: list[str] = field(default_factory=list)

    async def run(self, stage: Stage, over: asyncio.Event) -> None:
        del stage
        self.notes.append("begun")
        try:
            if self.fails:
                raise ZeroDivisionError("no clients")
            await over.wait()
            self.notes.append("ended")
        except asyncio.CancelledError:
            self.notes.append("given up")
            raise


STAGE: Stage = None  # type: ignore[assignment]  # nothing here looks at it


async def test_it_goes_on_while_the_context_is_open_and_ends_by_itself() -> None:
    noted = Noted()
    async with under_way([noted], STAGE):
        await asyncio.sleep(0)
        assert noted.notes == ["begun"]
    assert noted.notes == ["begun", "ended"]


async def test_it_is_given_up_where_the_fault_did_not_come_about() -> None:
    noted = Noted()

    async def unproven() -> None:
        async with under_way([noted], STAGE):
            await asyncio.sleep(0)
            raise KeyError("not proven")

    with pytest.raises(KeyError):
        await unproven()
    assert noted.notes == ["begun", "given up"]


async def test_its_own_error_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        async with under_way([Noted(fails=True), Noted()], STAGE):
            pass


@dataclass
class Hesitating(MemoryInjector):
    """Takes a moment before it breaks anything, as one does that has to find its victim first."""

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        await asyncio.sleep(0.3)
        return await super().inject(fault, undo, rng)


async def test_pressure_is_on_before_the_first_crash_and_off_after_the_last(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    run_dir = new_run(tmp_path)
    scenario = replace(
        SCENARIO, window=0.5, warm_up=0.2, steadiness=SteadyState(window=0.6, settle=0.3),
        background=(Pressure(clients=3, pause=0.0),), checks=(*ALWAYS, NoFinalFailure()),
    )  # fmt: skip
    async with serving(ledger) as target:
        journal = await run_all(target, Hesitating(ledger), [scenario], RunOptions(seed=2, rate=60.0), run_dir)
    (record,) = journal.scenarios
    assert record.verdict == "Passed", record.message
    operations = read_histories(run_dir / "history.jsonl")[SCENARIO.name].operations
    pressed = [o for o in operations if o.process.startswith("pressure-")]
    (injected,) = [o.ended_ns for o in operations if o.process == NEMESIS and o.f == "inject"]
    assert injected is not None
    assert any(o.invoked_ns < injected < (o.ended_ns or 0) for o in pressed)  # one was in the middle of it
    assert all(o.answered_for_good for o in pressed)
