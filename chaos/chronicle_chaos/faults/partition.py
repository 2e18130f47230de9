"""Two regions lose each other, and each goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from chronicle_chaos.faults.fault import Fault
from chronicle_chaos.faults.hands import Hands, Held, Sides
from chronicle_chaos.injectors.injection import Injection, Observation, UndoLog


@dataclass(frozen=True, slots=True)
class Partition(Fault):
    """No packet passes between the two regions, in either direction, on new and on live connections."""

    majority: str = "region-a"
    minority: str = "region-b"

    @property
    def needs_quorum(self) -> bool:
        """With one node there is no minority."""
        return True

    async def preflight(self, hands: Hands) -> None:
        """There are two sides that reach each other, and the means to cut them apart."""
        await hands.must_have_quorum()
        await hands.can_cut(self._sides)
        await hands.connected(self._sides)

    async def begin(self, hands: Hands, undo: UndoLog, rng: Random) -> Injection:
        """Hold connections across, then cut."""
        before = await hands.connected(self._sides)
        held: list[Held] = []
        try:
            held.extend(await hands.hold(self._sides))
            way_back = hands.way_together(self._sides)
            undo.record(way_back.description, way_back.undo)
            hit = await hands.cut(self._sides)
            await asyncio.gather(*(connections.settle() for connections in held))
        except BaseException:
            await _let_go(held)
            raise
        return Injection(self, tuple(hit), {"before": before, "held": held})

    async def evidence(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Nothing gets across, over new connections and over those from before, and the majority meets itself."""
        held: Sequence[Held] = injection.state["held"]
        said = await hands.said(injection)
        apart = await hands.apart(self._sides, injection.state["before"])
        live = await asyncio.gather(*(connections.silent() for connections in held))
        return [*said, *apart, *chain.from_iterable(live)]

    async def undo(self, hands: Hands, injection: Injection) -> None:
        """Let go of what was held, and let the regions meet."""
        await _let_go(injection.state.get("held", ()))
        await hands.mend(cut=True)

    async def healed(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Each region reaches the other."""
        return await hands.together(self._sides, injection.targets)

    @property
    def _sides(self) -> Sides:
        return Sides(self.majority, self.minority)


async def _let_go(held: Sequence[Held]) -> None:
    await asyncio.gather(*(connections.close() for connections in held))
