"""The hands for a compose stack: containers are killed, stopped and started, regions cut apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Before, Hands, Process, Sides, WayBack
from chronicle_chaos.injectors.compose.cut import Cut
from chronicle_chaos.injectors.compose.docker import Container, Docker
from chronicle_chaos.injectors.compose.held import HeldAcross
from chronicle_chaos.injectors.compose.names import CONTAINERS, EVERY, MINORITY, PORTS, REGIONS
from chronicle_chaos.injectors.compose.probes import Probes, halves
from chronicle_chaos.injectors.healing import Step, take_all
from chronicle_chaos.injectors.injection import InjectionError, Observation, PreflightError
from chronicle_chaos.injectors.probes import Chosen, by_leases

UP = "docker compose up -d"

DOWN_SECONDS = 1.0
"""How long a crashed instance stays away. Docker takes `docker kill` for a wish and leaves the container dead, restart
policy or not, so these hands stand in for whatever restarts a crashed process elsewhere."""

STOP_GRACE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class ComposeHands(Hands):
    """See `Hands`."""

    docker: Docker
    regions: Cut
    remedy: ClassVar[str] = UP

    @property
    def probes(self) -> Probes:
        """Own evidence about the stack."""
        return Probes(self.docker)

    async def usable(self) -> None:
        """See `Hands.usable`: Docker answers, and every container is there."""
        await self.docker.call("version", "--format", "{{.Server.Version}}")
        missing = [name for name in EVERY if await self.docker.container(name) is None]
        if missing:
            raise PreflightError(
                f"the project {self.docker.project} has no container of {missing[0]}",
                next_step="run `docker compose up -d`, or set COMPOSE_PROJECT_NAME to the stack's project",
            )

    async def sweep(self) -> None:
        """See `Hands.sweep`: pauses, dead containers, cuts."""
        await self.mend(cut=await self.regions.possible())

    def instances_of(self, component: Component) -> str:
        """See `Hands.instances_of`."""
        return f"{component} containers"

    def more_of(self, component: Component) -> str:
        """See `Hands.more_of`."""
        del component
        return UP

    async def processes(self, component: Component) -> list[Process]:
        """See `Hands.processes`."""
        names = CONTAINERS[component]
        containers = await asyncio.gather(*(self.docker.container(name) for name in names))
        ready = await self._ready(component)
        return [
            Process(name, None) if it is None else replace(process_of(it), ready=name in ready)
            for name, it in zip(names, containers, strict=True)
        ]

    async def chosen(self, component: Component) -> Chosen | None:
        """See `Hands.chosen`."""
        return by_leases(await self.probes.leases()) if component is Component.COCKROACH else None

    def way_back(self, names: Sequence[str]) -> WayBack:
        """See `Hands.way_back`."""
        return WayBack(f"start {', '.join(names)}", {"start": list(names)})

    async def crash(self, victim: Process) -> None:
        """See `Hands.crash`."""
        await self.kill(victim)
        await asyncio.sleep(DOWN_SECONDS)
        await self.docker.do(victim.name, "start")

    async def kill(self, victim: Process) -> None:
        """See `Hands.kill`. Docker leaves a killed container dead."""
        await self.docker.do(victim.name, "kill", "--signal=KILL")

    async def seen(self, component: Component, names: Sequence[str]) -> Before:
        """See `Hands.seen`."""
        reachable = await self.probes.reachable(names, PORTS[component])
        return {name: (await self._container(name), reachable[name]) for name in names}

    async def away(self, component: Component, before: Before) -> list[Observation]:
        """See `Hands.away`: not running, and nothing listens."""
        now = await self.probes.reachable(list(before), PORTS[component])
        observations = []
        for name, (was, listened) in before.items():
            container = await self._container(name)
            observations += [
                Observation(f"container {name}", was.state, container.state, not container.running),
                Observation(f"port of {name}", _heard(listened), _heard(now[name]), listened and not now[name]),
            ]
        return observations

    async def shut(self, component: Component) -> None:
        """See `Hands.shut`."""
        stop = ("stop", f"--time={STOP_GRACE_SECONDS}")
        await asyncio.gather(*(self.docker.do(name, *stop) for name in CONTAINERS[component]))

    async def back(self, component: Component, hit: Sequence[str]) -> list[Observation]:
        """See `Hands.back`."""
        names = CONTAINERS[component]
        ready = await self._ready(component)
        observations = []
        for name in names:
            container = await self._container(name)
            after = f"{container.state}, {'answers' if name in ready else 'does not answer yet'}"
            before = "gone" if name in hit else "another instance"
            observations.append(Observation(f"container {name}", before, after, name in ready))
        return observations

    def way_together(self, sides: Sides) -> WayBack:
        """See `Hands.way_together`."""
        inside = REGIONS[sides.minority]
        return WayBack(f"take the chain out of {', '.join(inside)}", {"restart": list(inside)})

    async def can_cut(self, sides: Sides) -> None:
        """See `Hands.can_cut`."""
        del sides
        await self.regions.prepare()

    async def connected(self, sides: Sides) -> Before:
        """See `Hands.connected`. A pair that did not reach each other before shows no cut afterwards."""
        return {"pairs": await self.probes.pairs(sides)}

    async def hold(self, sides: Sides) -> list[HeldAcross]:
        """See `Hands.hold`."""
        (here, own), (there, others) = halves(sides)
        first = await HeldAcross.open(self.docker, here, others)
        try:
            return [first, await HeldAcross.open(self.docker, there, own)]
        except BaseException:
            await first.close()
            raise

    async def cut(self, sides: Sides) -> Sequence[str]:
        """See `Hands.cut`."""
        inside = REGIONS[sides.minority]
        outside = [await self._container(name) for name in REGIONS[sides.majority]]
        addresses = [address for container in outside for address in container.addresses]
        if not addresses:
            raise InjectionError("no container of the other region has an address", next_step=UP)
        await self.regions.put_in(inside, addresses)
        return inside

    async def apart(self, sides: Sides, before: Before) -> Sequence[Observation]:
        """See `Hands.apart`."""
        return await self.probes.across(sides, before["pairs"], cut=True)

    async def together(self, sides: Sides, hit: Sequence[str]) -> Sequence[Observation]:
        """See `Hands.together`."""
        del hit
        return await self.probes.across(sides, {}, cut=False)

    async def mend(self, *, cut: bool) -> None:
        """See `Hands.mend`: take a cut out, start what is dead, let go on what is paused."""
        steps = self.regions.removal(REGIONS[MINORITY]) if cut else []
        start = "docker compose start"
        await take_all([*steps, *(Step(name, partial(self._revive, name), start, name) for name in EVERY)])

    async def _revive(self, name: str) -> None:
        container = await self._container(name)
        if container.paused:
            await self.docker.do(name, "unpause")
        elif not container.running:
            await self.docker.do(name, "start")

    async def _ready(self, component: Component) -> set[str]:
        """Return those that serve: by their readiness probe, or, where they have none, by a port that is reached."""
        names = CONTAINERS[component]
        if component is Component.API:
            return await self.probes.ready(names)
        return {name for name, listens in (await self.probes.reachable(names, PORTS[component])).items() if listens}

    async def _container(self, name: str) -> Container:
        container = await self.docker.container(name)
        if container is None:
            raise InjectionError(f"there is no container of {name}", next_step="run `docker compose up -d`")
        return container


def process_of(container: Container) -> Process:
    """Return the process that a container is now: pids are used again, so its beginning belongs to it."""
    if not container.running:
        return Process(container.name, None)
    return Process(container.name, f"pid {container.pid}, began {container.started_at[:23]}")


def _heard(answers: bool) -> str:
    return "listens" if answers else "does not listen"
