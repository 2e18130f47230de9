"""One fault: recorded, begun, proven, watched, healed. Healed always, in whatever way the rest ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.injectors.injection import CleanupFailed, Injection, InjectionError, Injector, Observation
from chronicle_chaos.judge.verdict import Stop
from chronicle_chaos.record import timeline as moments
from chronicle_chaos.record.history import NEMESIS, Recorder
from chronicle_chaos.record.journal import CleanupRecord, EvidenceRecord, FaultWindow, PhaseRecord, ScenarioRecord
from chronicle_chaos.run.phases import Phases, see_through
from chronicle_chaos.run.undo import FileUndoLog
from chronicle_chaos.scenarios.scenario import Act, Scenario

LOOK_EVERY_SECONDS = 0.3

BEGINNING_GRACE_SECONDS = 20.0
"""How long an interrupted run waits for a fault that is just being begun, so that it knows what to heal."""


class Stopped(Exception):
    """A scenario that ends before all of its phases did, with why."""

    def __init__(self, stop: Stop, message: str) -> None:
        super().__init__(message)
        self.stop = stop


@dataclass(slots=True)
class FaultRun:
    """The fault of one scenario. `healing_since_ns` is when healing was asked for."""

    scenario: Scenario
    record: ScenarioRecord
    injector: Injector
    undo: FileUndoLog
    rng: Random
    phases: Phases
    recorder: Recorder
    activities: Sequence[Act]
    healing_since_ns: int = 0
    _injection: Injection | None = None
    _begun: bool = field(default=False)

    async def run(self) -> None:
        """Inject, prove, observe, heal. Raises Stopped where the fault could not be injected or was not proven."""
        window = self.record.fault_window = FaultWindow()
        try:
            await self._inject(window)
            await self._prove(window)
            await self._observe()
        except Stopped:
            raise
        except Exception as error:
            # Whatever an injector raises: what was broken is healed and what is left is verified all the same.
            next_step = getattr(error, "next_step", "")
            stop = Stop.PHASE_FAILED if self._injection else Stop.INJECTION_FAILED
            raise Stopped(stop, f"{error}; {next_step}" if next_step else str(error)) from error
        finally:
            if self._begun:
                grace = self.scenario.deadlines.heal + 5
                await see_through(asyncio.create_task(self._heal(window)), grace)

    async def _inject(self, window: FaultWindow) -> None:
        async with self.phases.phase("inject", self.scenario.deadlines.inject):
            try:
                self.undo.record(
                    f"{self.scenario.name}: {self.injector.name} begins", {"fault": repr(self.scenario.fault)}
                )
            except OSError as error:
                message = f"{self.undo.path} cannot be written ({error.strerror}), so nothing was broken"
                raise Stopped(Stop.UNDO_LOG_UNWRITABLE, message) from error
            self._begun = True
            asked = self.recorder.record(NEMESIS, "invoke", moments.INJECT, value={"fault": repr(self.scenario.fault)})
            window.injected = self.recorder.clock.at(asked.t_ns)
            work = asyncio.create_task(self.injector.inject(self.scenario.fault, self.undo, self.rng))
            try:
                self._injection = await see_through(work, BEGINNING_GRACE_SECONDS)
            except OSError as error:
                raise Stopped(Stop.INJECTION_FAILED, f"{type(error).__name__}: {error}") from error
            finally:
                # Cancelled while the fault was being begun: what was begun must be healed all the same.
                if self._injection is None and work.done() and not work.cancelled() and work.exception() is None:
                    self._injection = work.result()
            self._name_experiments(self._injection)
            self.recorder.record(NEMESIS, "ok", moments.INJECT, value={"targets": list(self._injection.targets)})

    async def _prove(self, window: FaultWindow) -> None:
        observations: Sequence[Observation] = ()
        try:
            async with self.phases.phase("prove", self.scenario.deadlines.prove) as phase:
                while True:
                    evidence = await self.injector.evidence(self._injected())
                    observations = evidence.observations
                    if evidence.proven:
                        break
                    phase.message = _unshown(observations)
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
                phase.message = "; ".join(f"{o.subject}: {o.after}" for o in observations)
        except ChaosError as error:
            self.recorder.record(NEMESIS, "fail", moments.PROVE, error=str(error))
            raise Stopped(Stop.FAULT_UNPROVEN, f"the fault was not shown to be at work: {error}") from error
        finally:
            self._keep(observations)
        proven = self.recorder.record(NEMESIS, "ok", moments.PROVE)
        window.proven = self.recorder.clock.at(proven.t_ns)
        self.record.fault_confirmed = True

    async def _observe(self) -> None:
        seconds = self.record.window_seconds or self.scenario.window
        margin = self.scenario.deadlines.observe_margin
        async with self.phases.phase("observe", seconds + margin, f"{seconds:g} s under the fault"):
            acts = asyncio.gather(*(act(seconds) for act in self.activities))
            try:
                during = await self.injector.during(self._injected(), seconds)
                await acts
            finally:
                acts.cancel()
                await asyncio.gather(acts, return_exceptions=True)
                self._name_experiments(self._injected())
        self._keep(during)
        if any(not o.shows_fault for o in during):
            self.record.fault_confirmed = False
            message = f"the fault did not last: {_unshown(during)}"
            self.recorder.record(NEMESIS, "fail", moments.PROVE, error=message)
            raise Stopped(Stop.FAULT_UNPROVEN, message)

    async def _heal(self, window: FaultWindow) -> None:
        asked = self.recorder.record(NEMESIS, "invoke", moments.HEAL)
        self.healing_since_ns = asked.t_ns
        # Until it is done: whoever is killed or interrupted in the middle of it leaves this in the journal.
        self.record.cleanup = CleanupRecord("CleanupFailed", f"interrupted while healing; see {self.undo.path}")
        cleanup = CleanupRecord("Clean")
        try:
            async with self.phases.phase("heal", self.scenario.deadlines.heal):
                await self.injector.heal(self._injection or self._half_begun())
            self.undo.healed()
        except CleanupFailed as error:
            cleanup = CleanupRecord(
                "CleanupFailed", f"{error}; run: {error.next_step}" if error.next_step else str(error)
            )
        except Exception as error:  # noqa: BLE001 - the cleanup's outcome is a field of its own, not the verdict
            cleanup = CleanupRecord("CleanupFailed", f"{type(error).__name__}: {error}; see {self.undo.path}")
        self.record.cleanup = cleanup
        done = self.recorder.record(
            NEMESIS, "ok" if cleanup.result == "Clean" else "info", moments.HEAL, error=cleanup.message or None
        )
        window.healed = self.recorder.clock.at(done.t_ns)

    async def wait_until_healed(self, phase: PhaseRecord) -> None:
        """Wait until the injector shows that nothing of the fault is left; bounded by the caller's deadline.

        Raises nothing but CancelledError: an injector that cannot look is asked again, and what kept it from looking is
        in the record once time is up.
        """
        if not self._begun or self._injection is None:
            return
        left = "nobody has looked yet"
        try:
            while True:
                try:
                    evidence = await self.injector.healed(self._injection)
                except Exception as error:  # noqa: BLE001 - whatever it was, nothing is known, and nothing is over
                    left = f"nobody could look: {type(error).__name__}: {error}"
                else:
                    left = _unshown(evidence.observations)
                    if evidence.proven:
                        self._keep(evidence.observations)
                        return
                phase.message = f"something of the fault is left: {left}"
                await asyncio.sleep(LOOK_EVERY_SECONDS)
        except asyncio.CancelledError:
            unshown = f"not shown to be healed: {left}"
            if self.record.cleanup.result == "CleanupFailed":
                # What the healing itself complained of comes first: it names the command to run.
                unshown = f"{self.record.cleanup.message}; {unshown}"
            self.record.cleanup = CleanupRecord("CleanupFailed", unshown)
            raise

    def _half_begun(self) -> Injection:
        """For a fault whose beginning failed half-way: all that is known of it is what the undo log says."""
        return Injection(self.scenario.fault, (), {"undo": [dict(line["undo"]) for line in self.undo.entries()]})

    def _injected(self) -> Injection:
        if self._injection is None:
            raise InjectionError("nothing was injected")
        return self._injection

    def _name_experiments(self, injection: Injection) -> None:
        """Once they were asked for, and again after the window, which may have asked for more."""
        self.record.experiments = [dict(e) for e in injection.experiments]

    def _keep(self, observations: Sequence[Observation]) -> None:
        self.record.evidence.extend(EvidenceRecord(o.subject, o.before, o.after, o.shows_fault) for o in observations)


def _unshown(observations: Sequence[Observation]) -> str:
    unshown = [f"{o.subject}: {o.after} (before: {o.before})" for o in observations if not o.shows_fault]
    return "; ".join(unshown) if unshown else ("nothing was observed" if not observations else "")
