# ruff: noqa: ARG002 - these hands keep the signatures of the protocol
"""Hands in memory: every step that a fault takes is written down, and what is broken shows until it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Before, Hands, Process, Sides, WayBack
from chronicle_chaos.injectors.injection import InjectionError, Observation
from chronicle_chaos.injectors.probes import Chosen


@dataclass
class MemoryHeld:
    """A connection from before a cut."""

    hands: MemoryHands

    async def settle(self) -> None:
        """Write it down."""
        self.hands.steps.append("settle")

    async def silent(self) -> list[Observation]:
        """See whether the cut is one for it, too."""
        cut = self.hands.apart_now
        return [Observation("held", "answers", "silent" if cut else "answers", cut)]

    async def close(self) -> None:
        """Write it down."""
        self.hands.steps.append("let go")


@dataclass
class MemoryHands(Hands):
    """Three instances. `idle` hands say that they broke something, and did not. `refuses` names a step that fails."""

    idle: bool = False
    refuses: str = ""
    leases: bool = True
    steps: list[str] = field(default_factory=list)
    known: list[Process] = field(default_factory=lambda: [Process(f"n{n}", f"id {n}", ready=True) for n in (1, 2, 3)])
    out: set[str] = field(default_factory=set)
    apart_now: bool = False
    remedy: ClassVar[str] = "start them"

    def _step(self, what: str) -> None:
        self.steps.append(what)
        if what.partition(" ")[0] == self.refuses:
            raise InjectionError(f"no {what}")

    def record(self, description: str, undo: Mapping[str, object]) -> None:
        """Be the undo log as well, so that the order of steps shows."""
        self._step(f"record {description}")

    async def usable(self) -> None:
        self._step("usable")

    async def sweep(self) -> None:
        self._step("sweep")

    async def must_have_quorum(self) -> None:
        self._step("quorum")

    def instances_of(self, component: Component) -> str:
        return f"{component} instances"

    def more_of(self, component: Component) -> str:
        return f"more of {component}"

    async def processes(self, component: Component) -> list[Process]:
        return [replace(p, ready=p.ready and p.name not in self.out) for p in self.known]

    async def chosen(self, component: Component) -> Chosen | None:
        return Chosen("n2", Observation("leases", "n2 30", "n2 held most", shows_fault=True)) if self.leases else None

    def way_back(self, names: Sequence[str]) -> WayBack:
        return WayBack(f"start {', '.join(names)}", {"start": list(names)})

    async def crash(self, victim: Process) -> None:
        self._step(f"crash {victim.name}")
        if not self.idle:
            self.known = [replace(p, id=f"{p.id}+") if p.name == victim.name else p for p in self.known]

    async def kill(self, victim: Process) -> None:
        self._step(f"kill {victim.name}")
        self._break({victim.name})

    async def keep_away(self, component: Component, victim: Process, seconds: float) -> Sequence[Observation]:
        self._step(f"keep_away {victim.name}")
        await asyncio.sleep(seconds)
        return ()

    async def seen(self, component: Component, names: Sequence[str]) -> Before:
        self._step(f"seen {', '.join(names)}")
        return dict.fromkeys(names, "there")

    async def away(self, component: Component, before: Before) -> list[Observation]:
        return [
            Observation(name, was, "gone" if name in self.out else was, name in self.out)
            for name, was in before.items()
        ]

    async def heard(self, component: Component) -> Before:
        self._step("heard")
        return {p.name: "there" for p in self.known}

    async def shut(self, component: Component) -> None:
        self._step("shut")
        self._break({p.name for p in self.known})

    async def back(self, component: Component, hit: Sequence[str]) -> list[Observation]:
        return [Observation(p.name, "", "", p.name not in self.out) for p in self.known]

    def way_together(self, sides: Sides) -> WayBack:
        return WayBack("join", {"links": "pass"})

    async def can_cut(self, sides: Sides) -> None:
        self._step("can_cut")

    async def connected(self, sides: Sides) -> Before:
        self._step("connected")
        return {}

    async def hold(self, sides: Sides) -> list[MemoryHeld]:
        self._step("hold")
        return [MemoryHeld(self)]

    async def cut(self, sides: Sides) -> list[str]:
        self._step("cut")
        self.apart_now = not self.idle
        return [sides.majority, sides.minority]

    async def apart(self, sides: Sides, before: Before) -> list[Observation]:
        return [Observation("across", "connected", "cut" if self.apart_now else "connected", self.apart_now)]

    async def together(self, sides: Sides, hit: Sequence[str]) -> list[Observation]:
        return [Observation("across", "cut", "", not self.apart_now)]

    async def mend(self, *, cut: bool) -> None:
        self._step(f"mend {'links' if cut else 'processes'}")
        self.out.clear()
        self.apart_now = False

    def _break(self, names: set[str]) -> None:
        if not self.idle:
            self.out |= names
