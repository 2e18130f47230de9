"""Phases: each with a deadline, each written to the journal as it begins and as it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from chronicle_chaos.errors import PhaseTimeout
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.journal import PhaseRecord, ScenarioRecord
from chronicle_chaos.run.options import Progress

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Phases:
    """Opens the phases of one scenario. `save` puts the journal on disk."""

    record: ScenarioRecord
    clock: RunClock
    save: Callable[[], None]
    progress: Progress

    @asynccontextmanager
    async def phase(self, name: str, seconds: float, message: str = "") -> AsyncIterator[PhaseRecord]:
        """Run the body within `seconds`. Raises PhaseTimeout past it; whatever the body raises passes through."""
        phase = PhaseRecord(name, self.clock.now(), message=message)
        self.record.phases.append(phase)
        self.save()
        self.progress(self.record.name, name, message)
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                yield phase
            phase.outcome = "Succeeded"
        except TimeoutError as error:
            phase.outcome = "Failed"
            if not deadline.expired():
                phase.message = f"timed out: {error}"
                raise
            phase.message = f"not done within {seconds:g} s" + (f": {phase.message}" if phase.message else "")
            raise PhaseTimeout(f"{name}: {phase.message}") from error
        except asyncio.CancelledError:
            phase.outcome = "Cancelled"
            raise
        except Exception as error:
            phase.outcome = "Failed"
            phase.message = str(error)
            raise
        finally:
            phase.end_time = self.clock.now()
            self.save()


async def see_through(work: asyncio.Task[T], grace: float) -> T:
    """Wait for `work` even where this task is cancelled meanwhile; the cancellation is raised again afterwards.

    For what must not be left half done: beginning a fault (its undo needs to know what was begun) and healing it.
    `grace` is how many seconds `work` gets after a cancellation before it is cancelled too.
    """
    cancelled: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    until = float("inf")
    while not work.done():
        if loop.time() >= until:
            work.cancel()
        try:
            await asyncio.wait({work}, timeout=None if until == float("inf") else max(1.0, until - loop.time()))
        except asyncio.CancelledError as error:
            cancelled = error
            until = min(until, loop.time() + grace)
    if cancelled is not None:
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not report it as lost; the cancellation wins
        raise cancelled
    return work.result()
