"""What a kind of cluster lends to the choreographies of faults: the few acts and looks that differ between media.

`injectors/local`, `injectors/compose` and `injectors/kubernetes` have a class each that does what `Hands` names, and
know no fault. A method with a body here is one that a medium may do without. Every method raises InjectionError where
it cannot do what it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from chronicle_chaos.faults import fault
from chronicle_chaos.injectors.injection import NotApplicable, Observation, PreflightError

if TYPE_CHECKING:
    from chronicle_chaos.faults.fault import Component
    from chronicle_chaos.injectors.injection import Injection
    from chronicle_chaos.injectors.probes import Chosen

Before = Mapping[str, Any]
"""What hands saw before a fault, by name. Only they know how to read it."""


@dataclass(frozen=True, slots=True)
class Process:
    """An instance and the process that it is now. `id` tells that from the next one; None where none runs."""

    name: str
    id: str | None
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """The two regions of a partition, by the names that they have in a target."""

    majority: str
    minority: str


@dataclass(frozen=True, slots=True)
class WayBack:
    """How to take a step back: for a person, and for whoever reads the undo log."""

    description: str
    undo: Mapping[str, Any]


class Held(Protocol):
    """Connections across the regions that were open before a cut."""

    async def settle(self) -> None:
        """Take what came before the cut off the line; it is no answer to what is asked afterwards."""

    async def silent(self) -> Sequence[Observation]:
        """Look whether nothing comes back over any of them now."""

    async def close(self) -> None:
        """Let go of them."""


class Hands(Protocol):
    """One kind of cluster, with one ledger in it."""

    remedy: ClassVar[str]
    """What a person does where something of the ledger does not run."""

    # Before a fault

    async def usable(self) -> None:
        """Check that this cluster can be broken at all. Raises NotApplicable, PreflightError."""
        return

    async def sweep(self) -> None:
        """Take away what a dead run left, and see that nothing else disturbs the ledger. Raises PreflightError."""

    async def must_have_quorum(self) -> None:
        """Raise NotApplicable where the database has no second node."""
        return

    def instances_of(self, component: Component) -> str:
        """Return what the instances of a component are called here, in the plural."""

    def more_of(self, component: Component) -> str:
        """Return what a person does to get more than one instance."""

    def witness(self) -> Sequence[Mapping[str, str]]:
        """Return a list of the objects that are made elsewhere from now on (kind, name, uid): it grows with them."""
        return []

    # Processes

    async def processes(self, component: Component) -> Sequence[Process]:
        """Return all instances of a component, as they are now."""

    async def chosen(self, component: Component) -> Chosen | None:
        """Choose the instance whose loss hurts most; None where that cannot be told here."""
        return None

    def way_back(self, names: Sequence[str]) -> WayBack:
        """Return how instances that are killed or shut come back."""

    async def crash(self, victim: Process) -> None:
        """Kill the process at once; something starts the instance again."""

    async def kill(self, victim: Process) -> None:
        """Kill the process at once; the instance stays away, as far as `keep_away` sees to it."""

    async def keep_away(self, component: Component, victim: Process, seconds: float) -> Sequence[Observation]:
        """Keep a killed instance away for the window, and return what was seen of it.

        Nothing is returned where a kill lasts by itself: then the end of the window is looked at.
        """
        await asyncio.sleep(seconds)
        return ()

    async def seen(self, component: Component, names: Sequence[str]) -> Before:
        """Look at instances before they are killed."""

    async def away(self, component: Component, before: Before) -> Sequence[Observation]:
        """Look whether the instances that were `seen` are gone."""

    # A component that is out as a whole

    async def heard(self, component: Component) -> Before:
        """Look at a component before it is out. Raises PreflightError where it looks as if it were out already."""
        return await self.seen(component, [process.name for process in await self.processes(component)])

    async def shut(self, component: Component) -> None:
        """Let every instance be out of reach, until healed."""

    async def silent(self, component: Component, before: Before) -> Sequence[Observation]:
        """Look whether what was `heard` is out."""
        return await self.away(component, before)

    async def back(self, component: Component, hit: Sequence[str]) -> Sequence[Observation]:
        """Look whether every instance of a component runs and answers again. `hit` are those that did not."""

    # Regions

    def way_together(self, sides: Sides) -> WayBack:
        """Return how regions that are cut apart meet again."""

    async def can_cut(self, sides: Sides) -> None:
        """Check that there are two sides, and the means to cut them apart. Raises NotApplicable, PreflightError."""
        return

    async def connected(self, sides: Sides) -> Before:
        """Look who reaches whom before a cut. Raises PreflightError where it looks as if they were cut already."""
        return {}

    async def hold(self, sides: Sides) -> Sequence[Held]:
        """Open connections across, to see whether the cut is one for them as well; none where that cannot be done."""
        return ()

    async def cut(self, sides: Sides) -> Sequence[str]:
        """Let no packet pass between the regions, either way. Returns what was cut."""

    async def apart(self, sides: Sides, before: Before) -> Sequence[Observation]:
        """Look whether nothing gets across, and the majority still meets itself."""

    async def together(self, sides: Sides, hit: Sequence[str]) -> Sequence[Observation]:
        """Look whether the regions reach each other again."""

    # Every fault

    async def said(self, injection: Injection) -> Sequence[Observation]:
        """Return what a witness of its own says of the objects made for the fault; nothing where there is none."""
        return ()

    async def mend(self, *, cut: bool) -> None:
        """Take back everything that this cluster can have. Cheap, and safe to repeat. `cut`: the fault was a partition.

        Raises CleanupFailed.
        """


async def must_be_whole(hands: Hands, component: Component, *, least: int = 1) -> None:
    """Wait a little until every instance of a component is ready. Raises PreflightError where one is not, NotApplicable
    where there are fewer than `least`, or InjectionError."""

    def decided(known: Sequence[Process]) -> bool:
        return 0 < len(known) < least or (bool(known) and all(process.ready for process in known))

    known = await fault.look_until(lambda: hands.processes(component), decided, seconds=fault.SOUND_SECONDS)
    if 0 < len(known) < least:
        raise NotApplicable(
            f"there is one of the {hands.instances_of(component)}, and none to take over when it is killed",
            next_step=hands.more_of(component),
        )
    ready = sum(process.ready for process in known)
    if not known or ready < len(known):
        raise PreflightError(
            f"{ready} of {len(known)} {hands.instances_of(component)} are ready", next_step=hands.remedy
        )
