"""What a fault is: steps that any kind of cluster can take, because it lends the hands for them.

Each fault is one module beside this one. It is the data that a scenario gives (which component, how often) and the
choreography: what is checked, begun, shown, kept up, taken back and shown to be gone, in this order. How a process is
killed, or a network cut, is for the hands to know (`hands.Hands`).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Generic, TypeVar

from chronicle_chaos.injectors.injection import Injection, InjectionError, Observation, UndoLog

if TYPE_CHECKING:
    from chronicle_chaos.faults.hands import Hands

POLL_SECONDS = 0.3

SOUND_SECONDS = 15.0
"""How long a ledger may take to look whole before a fault, where one look at a busy machine says otherwise."""

LAST_LOOK_SECONDS = 10.0
"""For how long a fault is looked for at the end of its window, before it counts as not lasting."""


class Component(StrEnum):
    """The parts of a running ledger that a fault can be aimed at."""

    COCKROACH = "cockroach"
    NATS = "nats"
    API = "api"


H = TypeVar("H")
Seen = TypeVar("Seen")


class Choreography(ABC, Generic[H]):
    """The steps of one kind of fault, over the hands `H`. Subclasses are frozen data: what is under way is in the
    `Injection`."""

    __slots__ = ()

    @property
    def needs_quorum(self) -> bool:
        """Whether only a database of several nodes can have this fault."""
        return False

    async def preflight(self, hands: H) -> None:
        """Check that the fault can be begun and would be seen. Raises NotApplicable, PreflightError, InjectionError."""

    @abstractmethod
    async def begin(self, hands: H, undo: UndoLog, rng: Random) -> Injection:
        """Look at what there is, record how to take the fault back, and only then begin it. Raises InjectionError."""

    @abstractmethod
    async def evidence(self, hands: H, injection: Injection) -> Sequence[Observation]:
        """Look for proof that the fault is at work now. Raises InjectionError."""

    async def during(self, hands: H, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Stay for the window, and look once more at its end. Raises InjectionError."""
        await asyncio.sleep(seconds)
        return await last_look(lambda: self.evidence(hands, injection))

    @abstractmethod
    async def undo(self, hands: H, injection: Injection) -> None:
        """Take the fault back. Safe to repeat, and after a beginning that failed half-way. Raises CleanupFailed."""

    @abstractmethod
    async def healed(self, hands: H, injection: Injection) -> Sequence[Observation]:
        """Look for proof that nothing of the fault is left. Raises InjectionError."""


if TYPE_CHECKING:
    Fault = Choreography[Hands]
else:
    Fault = Choreography
"""A fault of a cluster. What clients do to each other is another choreography (`contention`)."""


async def look_until(
    look: Callable[[], Awaitable[Seen]], enough: Callable[[Seen], bool], *, seconds: float, pause: float | None = None
) -> Seen:
    """Look until it is enough, or until a look that began `seconds` or more later, and return what was seen last."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        last = loop.time() >= until
        seen = await look()
        if enough(seen) or last:
            return seen
        await asyncio.sleep(POLL_SECONDS if pause is None else pause)


async def looked(look: Callable[[], Awaitable[Sequence[Observation]]]) -> Sequence[Observation]:
    """Return what is seen. An authority that does not answer for now shows nothing, and may be asked again.

    Raises InjectionError where asking again is of no use.
    """
    try:
        return await look()
    except InjectionError as error:
        if not error.passing:
            raise
        return [Observation("the cluster", "answered", f"did not answer: {error}", shows_fault=False)]


async def last_look(look: Callable[[], Awaitable[Sequence[Observation]]]) -> Sequence[Observation]:
    """Look at the window's end. What was taken away does not come back by itself, so one look that shows the fault is
    enough: a question that was not answered in time on a busy machine disproves nothing."""

    def shown(seen: Sequence[Observation]) -> bool:
        return bool(seen) and all(one.shows_fault for one in seen)

    return await look_until(lambda: looked(look), shown, seconds=LAST_LOOK_SECONDS)
