"""One node dies and stays away: the one whose loss hurts most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chronicle_chaos.faults.fault import Component, Fault, last_look
from chronicle_chaos.faults.hands import Hands, Process, must_be_whole
from chronicle_chaos.injectors.injection import Injection, InjectionError, Observation, UndoLog


@dataclass(frozen=True, slots=True)
class NodeKill(Fault):
    """SIGKILL one node of `component` (of the database the one whose loss hurts most) and keep it away until healed."""

    component: Component

    @property
    def needs_quorum(self) -> bool:
        """Whether it is a node of the database."""
        return self.component is Component.COCKROACH

    async def preflight(self, hands: Hands) -> None:
        """Every node is ready: a second one that is down would be another fault."""
        if self.needs_quorum:
            await hands.must_have_quorum()
        await must_be_whole(hands, self.component)

    async def begin(self, hands: Hands, undo: UndoLog, rng: Random) -> Injection:
        """Kill the node that matters most, or any that is ready where that cannot be told."""
        chosen = await hands.chosen(self.component)
        ready = [process for process in await hands.processes(self.component) if process.ready]
        candidates = ready if chosen is None else [process for process in ready if process.name == chosen.name]
        if not candidates:
            which = f"any of the {hands.instances_of(self.component)}" if chosen is None else chosen.name
            raise InjectionError(f"{which} is to be killed, and is not ready", next_step=hands.remedy)
        victim = rng.choice(candidates)
        before = await hands.seen(self.component, [victim.name])
        way_back = hands.way_back([victim.name])
        undo.record(way_back.description, way_back.undo)
        await hands.kill(victim)
        return Injection(self, (victim.name,), {"before": before, "victim": victim, "chosen": chosen})

    async def evidence(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Why it was that one, where it was chosen, and that it is gone."""
        chosen = injection.state["chosen"]
        return [*((chosen.shown, *chosen.also) if chosen else ()), *await self._gone(hands, injection)]

    async def during(self, hands: Hands, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Keep it away. Where it stays away by itself, look once more at the end."""
        victim: Process = injection.state["victim"]
        kept = await hands.keep_away(self.component, victim, seconds)
        return kept or await last_look(lambda: self._gone(hands, injection))

    async def undo(self, hands: Hands, injection: Injection) -> None:
        """Let it run again."""
        await hands.mend(cut=False)

    async def healed(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Every node runs and answers."""
        return await hands.back(self.component, injection.targets)

    async def _gone(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        return [*await hands.said(injection), *await hands.away(self.component, injection.state["before"])]
