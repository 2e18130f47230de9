"""A component is out as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chronicle_chaos.faults.fault import Component, Fault
from chronicle_chaos.faults.hands import Hands, must_be_whole
from chronicle_chaos.injectors.injection import Injection, Observation, UndoLog


@dataclass(frozen=True, slots=True)
class Outage(Fault):
    """Every instance of `component` stops, and stays away until healed."""

    component: Component

    async def preflight(self, hands: Hands) -> None:
        """Every instance is ready, and heard: one that was away already would prove nothing."""
        await must_be_whole(hands, self.component)
        await hands.heard(self.component)

    async def begin(self, hands: Hands, undo: UndoLog, rng: Random) -> Injection:
        """Shut every instance."""
        names = tuple(process.name for process in await hands.processes(self.component))
        before = await hands.heard(self.component)
        way_back = hands.way_back(names)
        undo.record(way_back.description, way_back.undo)
        await hands.shut(self.component)
        return Injection(self, names, {"before": before})

    async def evidence(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """No instance is heard."""
        return [*await hands.said(injection), *await hands.silent(self.component, injection.state["before"])]

    async def undo(self, hands: Hands, injection: Injection) -> None:
        """Let all of them run again."""
        await hands.mend(cut=False)

    async def healed(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Every instance runs and answers."""
        return await hands.back(self.component, injection.targets)
