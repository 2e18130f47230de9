"""The load of a scenario: the open loop and the samples of health, from the first request to the last answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Self

from chronicle_chaos.errors import PhaseTimeout
from chronicle_chaos.load.operations import Operations
from chronicle_chaos.load.sampler import HealthSampler
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.load.steadiness import SteadyState
from chronicle_chaos.load.workload import Workload
from chronicle_chaos.record import timeline as moments
from chronicle_chaos.record.clock import nanoseconds
from chronicle_chaos.record.history import NEMESIS
from chronicle_chaos.record.journal import PhaseRecord
from chronicle_chaos.scenarios.scenario import Scenario

LOOK_EVERY_SECONDS = 0.25

BASELINE_REQUESTS = 100
"""How many requests steady state is judged by at least: a lower rate takes longer to show what is usual."""


@dataclass(slots=True)
class Load:
    """On while its context is open, unless stopped before."""

    stage: Stage
    workload: Workload
    sampler: HealthSampler
    criterion: SteadyState
    warm_up: float
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    def of(cls, stage: Stage, scenario: Scenario, rate: float, operations_rng: Random, clients_rng: Random) -> Load:
        """The load of a stage at `rate` requests a second over the accounts that are open by now."""
        operations = Operations(operations_rng, tuple(stage.accounts), f"{stage.namespace}/load")
        workload = Workload(
            stage.client, stage.recorder, operations, stage.target.url, rate, clients_rng, stage.patience
        )
        sampler = HealthSampler(stage.client, stage.recorder, stage.target)
        # With half of the requests that were to be sent, this process itself is the bottleneck and knows nothing.
        window = max(scenario.steadiness.window, BASELINE_REQUESTS / rate)
        criterion = replace(scenario.steadiness, window=window, least=max(5, int(rate * window / 2)))
        return cls(stage, workload, sampler, criterion, scenario.warm_up)

    async def __aenter__(self) -> Self:
        self.stage.recorder.record(NEMESIS, "invoke", moments.LOAD, value={"rate": self.workload.rate})
        self._tasks = [asyncio.create_task(self.workload.run()), asyncio.create_task(self.sampler.run())]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.stop(0.0 if exc_type is asyncio.CancelledError else 5.0)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def steady(self, phase: PhaseRecord, since_ns: int | None = None) -> int:
        """Wait for steady state, judged on nothing before `since_ns` (by default: the warm-up from now).

        Returns since when it has been steady. The waiting is bounded by the phase; `phase.message` says what is
        still missing. Raises PhaseTimeout where the load itself has died, since no state would ever be steady.
        """
        clock = self.stage.recorder.clock
        if since_ns is None:
            since_ns = clock.ns() + nanoseconds(self.warm_up)
        settled = nanoseconds(self.criterion.settle)
        whole = nanoseconds(self.criterion.look_back)
        while True:
            self._must_be_alive()
            if clock.ns() - since_ns >= whole:
                health = self.sampler.latest.get("lb", {})
                now = clock.ns()
                missing = self.criterion.missing(self.stage.recorder.events, now, health)
                ok_since = self.sampler.all_ok_since_ns
                if missing is None and (ok_since is None or now - ok_since < settled):
                    # What is broken afterwards must not have been ill before, wherever one asks.
                    missing = "/health of an instance is not ok, or not for long"
                phase.message = missing or "steady"
                if missing is None:
                    return max(since_ns, now - whole, ok_since or 0)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def stop(self, drain_seconds: float) -> None:
        """No further requests; wait for those under way. Safe to call twice."""
        if self.workload.stopped:
            return
        self.workload.stop()
        given_up = await self.workload.drain(drain_seconds)
        self.stage.recorder.record(NEMESIS, "ok", moments.LOAD, value={"given_up": given_up})

    async def caught_up(self, seconds: float) -> None:
        """Wait until the read model has everything and the outbox is empty, at most `seconds`.

        An instance that does not know how far the read model is behind is asked again: nothing is not zero.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    health = await self.sampler.sample()
                    if health.get("lag_events") == 0 and health.get("backlog") == 0:
                        return
                    await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _must_be_alive(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise PhaseTimeout(f"the load has died: {type(error).__name__}: {error}") from error
