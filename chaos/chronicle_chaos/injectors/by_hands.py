"""The `Injector` of every kind of cluster: each fault is done by its own choreography, over the hands of that kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, TypeVar

from chronicle_chaos.faults.fault import Choreography, looked
from chronicle_chaos.faults.hands import Hands
from chronicle_chaos.injectors.injection import (
    CleanupFailed,
    Evidence,
    Fidelity,
    Injection,
    Observation,
    PreflightError,
    UndoLog,
)

H = TypeVar("H")


@dataclass(slots=True)
class ByHands(Generic[H]):
    """Does any fault that needs no other hands than these."""

    name: str
    fidelity: Fidelity
    hands: H

    async def preflight(self, fault: Choreography[H]) -> None:
        """See `Injector.preflight`."""
        await fault.preflight(self.hands)

    async def inject(self, fault: Choreography[H], undo: UndoLog, rng: Random) -> Injection:
        """See `Injector.inject`."""
        return await fault.begin(self.hands, undo, rng)

    async def evidence(self, injection: Injection) -> Evidence:
        """See `Injector.evidence`."""
        return Evidence(tuple(await looked(lambda: injection.fault.evidence(self.hands, injection))))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """See `Injector.during`."""
        return await injection.fault.during(self.hands, injection, seconds)

    async def heal(self, injection: Injection) -> None:
        """See `Injector.heal`."""
        await injection.fault.undo(self.hands, injection)

    async def healed(self, injection: Injection) -> Evidence:
        """See `Injector.healed`."""
        return Evidence(tuple(await injection.fault.healed(self.hands, injection)))


class ClusterInjector(ByHands[Hands]):
    """Breaks a cluster."""

    async def preflight(self, fault: Choreography[Hands]) -> None:
        """See `Injector.preflight`."""
        await self.hands.usable()
        try:
            await self.hands.sweep()
        except CleanupFailed as error:
            raise PreflightError(f"an earlier run left something: {error}", next_step=error.next_step) from error
        await fault.preflight(self.hands)

    async def inject(self, fault: Choreography[Hands], undo: UndoLog, rng: Random) -> Injection:
        """See `Injector.inject`."""
        made = self.hands.witness()
        return replace(await fault.begin(self.hands, undo, rng), experiments=made)
