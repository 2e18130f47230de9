"""One scenario, from preflight to verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.faults.contention import Contention
from chronicle_chaos.injectors.by_hands import ByHands
from chronicle_chaos.injectors.injection import Fidelity, InjectionError, Injector, NotApplicable
from chronicle_chaos.judge.checkers.base import Case, run_checks
from chronicle_chaos.judge.judging import checkers_for, conclude_record
from chronicle_chaos.judge.verdict import CheckResult, Stop
from chronicle_chaos.load.client import open_client
from chronicle_chaos.load.load import Load
from chronicle_chaos.load.operations import CURRENCY
from chronicle_chaos.load.seeds import seeded
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record import timeline as moments
from chronicle_chaos.record.clock import seconds
from chronicle_chaos.record.final import FinalReader, FinalReads, write_final
from chronicle_chaos.record.history import NEMESIS, History, Recorder
from chronicle_chaos.record.journal import CleanupRecord, PhaseRecord, ScenarioRecord
from chronicle_chaos.record.region_reads import RegionReader
from chronicle_chaos.run.background import under_way
from chronicle_chaos.run.fault_run import FaultRun, Stopped
from chronicle_chaos.run.options import Progress, RunOptions
from chronicle_chaos.run.phases import Phases
from chronicle_chaos.run.undo import FileUndoLog
from chronicle_chaos.scenarios.scenario import Act, Scenario
from chronicle_chaos.target import Target

FIDELITY: dict[str, Fidelity] = {"local": "process", "compose": "container", "cluster": "cluster"}
"""Of what clients do to each other, by the kind of the target."""

OPENING_BALANCE = 10_000
POOR_BALANCE = 60
"""Two accounts are poor, so that some withdrawals are refused and refusals are judged too (minor units)."""


@dataclass(slots=True)
class ScenarioRun:
    """Fills in `record`. Built for one scenario and run once."""

    scenario: Scenario
    record: ScenarioRecord
    target: Target
    injector: Injector
    options: RunOptions
    run_dir: Path
    recorder: Recorder
    save: Callable[[], None]
    progress: Progress
    phases: Phases = field(init=False)
    _final: FinalReads | None = None
    _checks: list[CheckResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phases = Phases(self.record, self.recorder.clock, self.save, self.progress)

    async def run(self) -> None:
        """Go through the phases and judge. Raises nothing but CancelledError, and that once all is healed."""
        record = self.record
        record.start_time = self.recorder.clock.now()
        record.reason = "NotFinished"
        record.window_seconds = self.options.window(self.scenario.name, self.scenario.window)
        record.recovery_seconds = self.options.recovery(self.scenario.name, self.scenario.recovery)
        stop: Stop | None = None
        message = ""
        try:
            async with open_client(self.target) as client:
                stage = Stage(
                    self.target, client, self.recorder, self._rng("stage"),
                    f"{self.run_dir.name}/{self.scenario.name}", self.options.patience,
                )  # fmt: skip
                await self._phases(stage)
        except Stopped as stopped:
            stop, message = stopped.stop, str(stopped)
        except asyncio.CancelledError:
            self._conclude(Stop.ABORTED, f"the run was interrupted; {_left_behind(self.record.cleanup)}")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, it is this scenario's outcome
            failed = _phase_failed(error)
            stop, message = failed.stop, str(failed)
        self._conclude(stop, message)

    def _rng(self, purpose: str) -> Random:
        return seeded(f"{self.options.seed}/{self.scenario.name}/{purpose}")

    async def _phases(self, stage: Stage) -> None:
        injector = self.injector
        if isinstance(self.scenario.fault, Contention):
            injector = ByHands("Workload", FIDELITY[self.target.kind], stage)
        self.record.injector, self.record.fidelity = injector.name, injector.fidelity
        activities = await self._preflight(stage, injector)
        load = Load.of(stage, self.scenario, self.options.rate, self._rng("operations"), self._rng("clients"))
        stopped: Stopped | None = None
        async with load:
            await self._steady_state(load)
            undo = FileUndoLog(self.run_dir / "undo.jsonl", self.scenario.name)
            fault = FaultRun(
                self.scenario, self.record, injector, undo, self._rng("fault"), self.phases, self.recorder, activities
            )
            try:
                async with under_way(self.scenario.background, stage):
                    await fault.run()
            except Stopped as early:
                # What was proven so far still has to be verified: a fault that cannot be shown may have lost money.
                stopped = early
                if early.stop is Stop.UNDO_LOG_UNWRITABLE:
                    raise
            except Exception as error:  # noqa: BLE001 - clients beside the load broke down: the same holds
                stopped = _phase_failed(error)
            unverified = await self._verify(load, fault, stage)
            stopped = stopped or unverified
        await self._check(stopped.stop if stopped else None)
        if stopped is not None:
            raise stopped

    async def _preflight(self, stage: Stage, injector: Injector) -> list[Act]:
        try:
            async with self.phases.phase("preflight", self.scenario.deadlines.preflight):
                await injector.preflight(self.scenario.fault)
                await stage.open_accounts(self.options.accounts - 2, OPENING_BALANCE)
                await stage.open_accounts(2, POOR_BALANCE)
                return [await activity.prepare(stage) for activity in self.scenario.activities]
        except NotApplicable as error:
            raise Stopped(Stop.NOT_APPLICABLE, _with_next_step(error)) from error
        except InjectionError as error:
            raise Stopped(Stop.PREFLIGHT_FAILED, _with_next_step(error)) from error
        except ChaosError as error:
            raise Stopped(Stop.PREFLIGHT_FAILED, str(error)) from error

    async def _steady_state(self, load: Load) -> None:
        try:
            async with self.phases.phase("steady-state", self.scenario.deadlines.steady_state) as phase:
                since = await load.steady(phase)
        except ChaosError as error:
            raise Stopped(Stop.STEADY_STATE_NOT_MET, f"nothing was injected: {error}") from error
        self.recorder.record(NEMESIS, "ok", moments.STEADY, value={"since_ns": since})

    async def _verify(self, load: Load, fault: FaultRun, stage: Stage) -> Stopped | None:
        """Steady again, load off, drain, final reads. Missing the deadline is for the checkers to judge, not an end.

        Whatever goes wrong on the way is returned as the scenario's end, not raised: the ledger is read all the same,
        and what could be read is judged. Money that was lost must not be hidden by a probe that failed.
        """
        deadlines = self.scenario.deadlines
        longest = self._recovery + 2 * self.scenario.steadiness.look_back + 3 * deadlines.drain + deadlines.final_reads
        stopped: Stopped | None = None
        try:
            async with self.phases.phase("verify", longest) as phase:
                try:
                    await self._steady_again(load, fault, phase)
                except Exception as error:  # noqa: BLE001 - it says nothing about what the ledger holds
                    stopped = _phase_failed(error)
                    self.recorder.record(NEMESIS, "fail", moments.RECOVERED, error=str(stopped))
                self.progress(self.scenario.name, "verify", "load off, reading everything back")
                await self._read_back(load, stage)
        except Exception as error:  # noqa: BLE001 - the checkers judge what there is
            return stopped or _phase_failed(error)
        return stopped

    async def _steady_again(self, load: Load, fault: FaultRun, phase: PhaseRecord) -> None:
        clock, look_back = self.recorder.clock, self.scenario.steadiness.look_back
        left = self._recovery - seconds(clock.ns() - fault.healing_since_ns) if fault.healing_since_ns else 0.0
        try:
            # The deadline is counted from when healing was asked for, and it is the checker that holds recovery against
            # it. What is steady in time is seen to be so a while later; and however long healing took, somebody has to
            # look whether it worked.
            async with asyncio.timeout(max(left + look_back, 2 * look_back)):
                await fault.wait_until_healed(phase)
                healed_ns = clock.ns()
                since = await load.steady(phase, since_ns=fault.healing_since_ns)
            self.recorder.record(NEMESIS, "ok", moments.RECOVERED, value={"since_ns": max(since, healed_ns)})
        except TimeoutError:
            phase.message = f"not steady again within {self._recovery:g} s: {phase.message}"
            self.recorder.record(NEMESIS, "fail", moments.RECOVERED, error=phase.message)

    async def _read_back(self, load: Load, stage: Stage) -> None:
        drain = self.scenario.deadlines.drain
        await load.stop(drain)
        await load.caught_up(drain)
        reader = FinalReader(stage.client, self.target.url)
        final = await reader.read(stage.accounts, acknowledged(self.recorder.history()), CURRENCY)
        await RegionReader(stage.client, self.target.regions).read(stage.accounts, final)
        # Asked once more at the end: an instance that hears of the stream later than another may have spoken meanwhile.
        await load.caught_up(drain)
        health = load.sampler.latest.get(LOAD_BALANCER, {})
        final.lag_events, final.backlog = health.get("lag_events"), health.get("backlog")
        self._final = final
        write_final(self.run_dir, self.scenario.name, final)

    async def _check(self, stop: Stop | None) -> None:
        async with self.phases.phase("check", 60.0):
            self._checks = run_checks(checkers_for(self.scenario, stop), self._case())

    @property
    def _recovery(self) -> float:
        return self.record.recovery_seconds or self.scenario.recovery

    def _case(self) -> Case:
        return Case(self.recorder.history(), self._final, self._recovery)

    def _conclude(self, stop: Stop | None, message: str) -> None:
        conclude_record(self.record, self._case(), self._checks, stop, message, self.recorder.clock)
        self.save()


def acknowledged(history: History) -> set[str]:
    """The ids of the transactions that clients were told of. What a replay was told of is not among them: if it is
    another transaction than the first, it has to be read, and judged as one too many."""
    done = (o for o in history.writes if o.outcome == "ok")
    return {o.answered["transaction_id"] for o in done if "transaction_id" in o.answered}


def _left_behind(cleanup: CleanupRecord) -> str:
    match cleanup.result:
        case "Clean":
            return "what was broken has been healed"
        case "NotNeeded":
            return "nothing had been broken"
        case _:
            return f"what was broken has not been healed: {cleanup.message}"


def _phase_failed(error: Exception) -> Stopped:
    return Stopped(Stop.PHASE_FAILED, f"{type(error).__name__}: {error}")


def _with_next_step(error: InjectionError) -> str:
    return f"{error}; {error.next_step}" if error.next_step else str(error)
