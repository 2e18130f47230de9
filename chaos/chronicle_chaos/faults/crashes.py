"""Instances crash one after the other. A crash means the same wherever the ledger runs:

- An instance may be killed while it is ready and another one is too: the scenario is about the others taking over.
- It has crashed once the process that ran is not there any more: none is, or another one.
- A crash that finds no such moment is made a little after the window, or is said not to have been made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chronicle_chaos.faults.fault import Component, Fault, look_until
from chronicle_chaos.faults.hands import Hands, Process, must_be_whole
from chronicle_chaos.injectors.injection import Injection, InjectionError, Observation, UndoLog

SHARE = 0.8
"""Of the window: whoever is hit last is to come back in the rest, and a crash that had to wait finds its time."""

LATE_SECONDS = 20.0
"""How long past the window a crash may still wait for whoever was hit before it to be back, where a busy machine starts
slowly. Less than the phase has to spare."""

LEFT_READY = 2
"""How many instances have to be ready when one of them is killed."""

GONE_SECONDS = 15.0
"""How long a killed process may take until it is gone: where a kubelet has to notice, some seconds."""

POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Crashes(Fault):
    """SIGKILL one instance of `component` at a time, at random moments, `times` times; each comes back by itself."""

    component: Component
    times: int

    async def preflight(self, hands: Hands) -> None:
        """Every instance is ready, and there is one to take over."""
        await must_be_whole(hands, self.component, least=LEFT_READY)

    async def begin(self, hands: Hands, undo: UndoLog, rng: Random) -> Injection:
        """Crash the first one. Those that follow may hit any, so all are in the undo log."""
        known = await hands.processes(self.component)
        way_back = hands.way_back([process.name for process in known])
        undo.record(way_back.description, way_back.undo)
        victim = await self._victim(hands, rng, until=asyncio.get_running_loop().time() + LATE_SECONDS)
        await hands.crash(victim)
        return Injection(self, (victim.name,), {"victim": victim, "seed": rng.randrange(2**32)})

    async def evidence(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """The process of the first one is not there any more."""
        return [*await hands.said(injection), await self._gone(hands, injection.state["victim"])]

    async def during(self, hands: Hands, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Crash one instance at a time at random moments of the window, `times` in all with the first."""
        rng = Random(injection.state["seed"])  # noqa: S311 - seeded
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen: list[Observation] = []
        for number, moment in enumerate(moments(rng, self.times - 1, seconds), 2):
            await asyncio.sleep(max(0.0, began + moment - loop.time()))
            try:
                victim = await self._victim(hands, rng, until=began + seconds + LATE_SECONDS)
                await hands.crash(victim)
            except InjectionError as error:
                seen += _not_done(number, self.times, f"none was killed: {error}")
                break
            seen.append(await self._until_gone(hands, victim, f"{victim.name}, crash {number}"))
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        return seen

    async def undo(self, hands: Hands, injection: Injection) -> None:
        """Let one run that did not come back by itself."""
        await hands.mend(cut=False)

    async def healed(self, hands: Hands, injection: Injection) -> Sequence[Observation]:
        """Every instance runs and answers."""
        return await hands.back(self.component, injection.targets)

    async def _victim(self, hands: Hands, rng: Random, until: float) -> Process:
        """Return one that serves requests now, while another does too. Raises InjectionError at `until`."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                known = await hands.processes(self.component)
                ready = [process for process in known if process.ready and process.id is not None]
                if len(ready) >= LEFT_READY:
                    return rng.choice(ready)
                why = InjectionError(f"{len(ready)} of {len(known)} instances were ready, and one has to be left")
            except InjectionError as error:
                why = error
            if loop.time() >= until:
                raise why
            await asyncio.sleep(POLL_SECONDS)

    async def _gone(self, hands: Hands, victim: Process, subject: str = "") -> Observation:
        """Look whether an instance has crashed since it was `victim`. Raises InjectionError."""
        now = {process.name: process.id for process in await hands.processes(self.component)}.get(victim.name)
        before = victim.id or "no process"
        crashed = victim.id is not None and now != victim.id
        return Observation(subject or victim.name, before, now or "no process", crashed)

    async def _until_gone(self, hands: Hands, victim: Process, subject: str) -> Observation:
        async def look() -> Observation:
            try:
                return await self._gone(hands, victim, subject)
            except InjectionError as error:
                return Observation(subject, victim.id or "no process", str(error), shows_fault=False)

        return await look_until(look, lambda seen: seen.shows_fault, seconds=GONE_SECONDS, pause=POLL_SECONDS)


def moments(rng: Random, times: int, seconds: float) -> list[float]:
    """Seconds since the window's beginning, one random moment in each of `times` equal parts of the window's share."""
    return [(part + rng.random()) * SHARE * seconds / times for part in range(times)]


def _not_done(first: int, last: int, why: str) -> list[Observation]:
    """One observation for each crash from number `first` to `last`: a run with fewer crashes than were asked for has
    not shown its fault."""
    return [Observation(f"crash {number}", "to be done", why, shows_fault=False) for number in range(first, last + 1)]
