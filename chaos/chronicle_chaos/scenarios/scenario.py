"""What a scenario is: a fault, a window, and expectations as data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chronicle_chaos.faults.contention import Contention
from chronicle_chaos.faults.fault import Fault
from chronicle_chaos.judge.checkers.base import Checker
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.load.steadiness import SteadyState


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each phase may take at most. Observing has the window's length and this much more."""

    preflight: float = 90.0
    steady_state: float = 90.0
    inject: float = 45.0
    prove: float = 45.0
    observe_margin: float = 45.0
    heal: float = 90.0
    drain: float = 45.0
    final_reads: float = 120.0


Act = Callable[[float], Awaitable[None]]
"""What an activity does for the given number of seconds."""


class Activity(Protocol):
    """Something that clients do on top of the load while the fault lasts; it writes to the history."""

    async def prepare(self, stage: Stage) -> Act:
        """Open what it needs, before anything is broken."""


class Background(Protocol):
    """Something that clients do from before the fault until it is healed; it writes to the history."""

    async def run(self, stage: Stage, over: asyncio.Event) -> None:
        """Go on until `over` is set, and end once what is under way was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`window` is how long the fault lasts after it was proven, `recovery` the deadline from when healing is asked for
    to steady state (healing itself is part of it: a user waits for both), both in seconds. `warm_up` seconds at the
    load's beginning are part of no baseline: connections are opened, caches filled.

    `least_window_seconds` is the shortest window in which the checks can see what they judge; a run with a shorter one
    could say nothing but Inconclusive, so whoever takes a window from a person refuses it, with `least_window_reason`.
    The engine itself takes any: tests look at parts of a scenario."""

    name: str
    title: str
    claim: str
    fault: Fault | Contention
    window: float
    recovery: float
    checks: Sequence[Checker]
    activities: Sequence[Activity] = ()
    background: Sequence[Background] = ()
    deadlines: Deadlines = field(default_factory=Deadlines)
    steadiness: SteadyState = field(default_factory=SteadyState)
    warm_up: float = 2.0
    least_window_seconds: float = 0.0
    least_window_reason: str = ""

    def __post_init__(self) -> None:
        if self.least_window_seconds > 0 and not self.least_window_reason:
            raise ValueError(f"{self.name}: say why its window has to last {self.least_window_seconds:g} s")
