"""The hands for local processes: signals, and the proxies between the regions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Before, Hands, Process, Sides, WayBack
from chronicle_chaos.injectors import held
from chronicle_chaos.injectors.healing import Step, take_all
from chronicle_chaos.injectors.held import NATS_ROUTE, Held
from chronicle_chaos.injectors.injection import (
    CleanupFailed,
    InjectionError,
    NotApplicable,
    Observation,
    PreflightError,
)
from chronicle_chaos.injectors.local.nodes import Nodes
from chronicle_chaos.injectors.probes import Answer, Chosen, answer_of, api_ready
from chronicle_chaos.local.control import Control, ControlFailed, Instance
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.local.waiting import NotReady, accepts, until

INSTALL_COCKROACH = "install CockroachDB or run: chronicle fetch cockroach"
START = "start it with: chronicle up"
START_AGAIN = "stop `chronicle up` and start it again"
RESTART_SECONDS = 30.0

ANSWERS = frozenset({Answer.YES})
WHEN_CUT = {
    Mode.BLACKHOLE: (frozenset({Answer.TIMED_OUT}), frozenset({Answer.TIMED_OUT})),
    Mode.REFUSE: (frozenset({Answer.REFUSED}), frozenset({Answer.CLOSED, Answer.RESET})),
    Mode.RESET: (frozenset({Answer.RESET}), frozenset({Answer.RESET})),
}
"""What comes of a question over a new connection, and over one from before, where a link is cut in this way."""


@dataclass(frozen=True, slots=True)
class HeldHere:
    """One connection from before a cut. `live` are the answers that show the cut."""

    connection: Held
    live: frozenset[Answer]
    patience: float

    async def settle(self) -> None:
        """See `faults.hands.Held.settle`."""
        await self.connection.settle()

    async def silent(self) -> list[Observation]:
        """See `faults.hands.Held.silent`."""
        answer = await self.connection.ask(self.patience)
        return [Observation(self.connection.subject, "answers", answer.value, answer in self.live)]

    async def close(self) -> None:
        """See `faults.hands.Held.close`."""
        self.connection.close()


@dataclass(frozen=True, slots=True)
class LocalHands(Hands):
    """See `Hands`. `nodes` is None where the database has one node; `links` is what the proxies do in a partition."""

    control: Control
    nodes: Nodes | None
    links: Mode
    patience: float
    remedy: ClassVar[str] = START

    async def sweep(self) -> None:
        """See `Hands.sweep`."""
        try:
            await self.mend(cut=True)
            missing = [i.name for i in await self.control.instances() if i.pid is None]
            if missing:
                await self._wait_back(missing)
        except (CleanupFailed, ControlFailed, NotReady) as error:
            raise PreflightError(str(error) or "not everything runs", next_step=START) from error

    async def must_have_quorum(self) -> None:
        """See `Hands.must_have_quorum`."""
        if self.nodes is None:
            raise NotApplicable("one PostgreSQL has no second node and no quorum", next_step=INSTALL_COCKROACH)

    def instances_of(self, component: Component) -> str:
        """See `Hands.instances_of`."""
        return f"{self._called(component)} processes"

    def more_of(self, component: Component) -> str:
        """See `Hands.more_of`."""
        del component
        return START_AGAIN

    async def processes(self, component: Component) -> list[Process]:
        """See `Hands.processes`."""
        try:
            known = await self._instances(component)
        except ControlFailed as error:
            raise InjectionError(str(error)) from error
        ready = await asyncio.gather(*(self._answers(instance) for instance in known))
        return [Process(i.name, _id(i.pid), answers) for i, answers in zip(known, ready, strict=True)]

    async def chosen(self, component: Component) -> Chosen | None:
        """See `Hands.chosen`."""
        if component is not Component.COCKROACH or self.nodes is None:
            return None
        return await self.nodes.chosen(await self._instances(component))

    def way_back(self, names: Sequence[str]) -> WayBack:
        """See `Hands.way_back`."""
        return WayBack(f"{', '.join(names)} may run again", {"release": list(names)})

    async def crash(self, victim: Process) -> None:
        """See `Hands.crash`. Its supervisor starts it again."""
        await self._kill(victim.name, keep_away=False)

    async def kill(self, victim: Process) -> None:
        """See `Hands.kill`. Its supervisor waits until it is released."""
        await self._kill(victim.name, keep_away=True)

    async def seen(self, component: Component, names: Sequence[str]) -> Before:
        """See `Hands.seen`."""
        return {
            i.name: {"pid": i.pid, "started_at": i.started_at, "port": i.port, "accepted": await accepts(i.port)}
            for i in await self._instances(component)
            if i.name in names
        }

    async def away(self, component: Component, before: Before) -> list[Observation]:
        """See `Hands.away`: no process, and a port that refuses."""
        now = {i.name: i for i in await self._instances(component)}
        return [await _away(now[name], was) for name, was in before.items()]

    async def shut(self, component: Component) -> None:
        """See `Hands.shut`."""
        await asyncio.gather(*(self._kill(i.name, keep_away=True) for i in await self._instances(component)))

    async def back(self, component: Component, hit: Sequence[str]) -> list[Observation]:
        """See `Hands.back`."""
        observations = []
        for instance in await self._instances(component):
            up = await self._answers(instance)
            before = "killed" if instance.name in hit else "another instance"
            after = f"pid {instance.pid}, answers" if up else "does not answer yet"
            observations.append(Observation(f"{instance.name} after healing", before, after, up))
        return observations

    def way_together(self, sides: Sides) -> WayBack:
        """See `Hands.way_together`."""
        del sides
        return WayBack("links between the regions pass again", {"links": Mode.PASS.value})

    async def can_cut(self, sides: Sides) -> None:
        """The proxies are there; the database is put where a cut hurts most."""
        try:
            if self.nodes is not None:
                await self.nodes.before(sides, self.control)
        except ControlFailed as error:
            raise PreflightError(str(error), next_step=START_AGAIN) from error

    async def hold(self, sides: Sides) -> list[HeldHere]:
        """See `Hands.hold`. Each is answered once, so a link that is dead already shows here."""
        made: list[HeldHere] = []
        _, live = WHEN_CUT[self.links]
        try:
            for node, source in await self._crossing(sides):
                speech = self._speech(node.component)
                if not speech.question:
                    continue
                subject = f"{source} to {node.name}, over a connection from before"
                connection = await Held.open(subject, node.crossing or 0, speech)
                made.append(HeldHere(connection, live, self.patience))
        except BaseException:
            for one in made:
                await one.close()
            raise
        return made

    async def cut(self, sides: Sides) -> list[str]:
        """See `Hands.cut`."""
        await self.control.set_links(self.links)
        return [f"{sides.majority} | {sides.minority}: {self.links}"]

    async def apart(self, sides: Sides, before: Before) -> list[Observation]:
        """See `Hands.apart`: new connections through every link, each way, and inside the majority."""
        del before
        fresh, _ = WHEN_CUT[self.links]
        crossing = await self._crossing(sides)
        return await asyncio.gather(
            *(self._tried(node, source, node.crossing, "reachable", fresh) for node, source in crossing),
            *(
                self._tried(node, f"within {sides.majority}", node.peers, "reachable", ANSWERS)
                for node, _ in crossing
                if node.region == sides.majority
            ),
        )

    async def together(self, sides: Sides, hit: Sequence[str]) -> list[Observation]:
        """See `Hands.together`."""
        del hit
        crossing = await self._crossing(sides)
        return await asyncio.gather(
            *(self._tried(node, source, node.crossing, "cut off", ANSWERS) for node, source in crossing)
        )

    async def mend(self, *, cut: bool) -> None:
        """See `Hands.mend`. Links that pass already may be told so."""
        del cut
        links = Step("the links between the regions", lambda: self.control.set_links(Mode.PASS), START_AGAIN)
        await take_all([links, Step("what was killed", self._release, START_AGAIN)])

    async def _release(self) -> None:
        names = [instance.name for instance in await self.control.instances()]
        await take_all([Step(name, partial(self.control.release, name), START_AGAIN) for name in names])

    async def _wait_back(self, names: Sequence[str]) -> None:
        async def back() -> bool:
            return all(i.pid is not None for i in await self.control.instances() if i.name in names)

        await until(back, f"{', '.join(names)} run again", seconds=RESTART_SECONDS)

    def _called(self, component: Component) -> str:
        return self.nodes.component if component is Component.COCKROACH and self.nodes else component.value

    async def _instances(self, component: Component) -> list[Instance]:
        return await self.control.instances(self._called(component))

    async def _kill(self, name: str, *, keep_away: bool) -> None:
        try:
            await self.control.kill(name, keep_away=keep_away)
        except ControlFailed as error:
            raise InjectionError(str(error)) from error

    async def _answers(self, instance: Instance) -> bool:
        if instance.pid is None:
            return False
        if instance.component == Component.API:
            return await api_ready(instance.url)
        if self.nodes and instance.component == self.nodes.component:
            return await self.nodes.ready(instance)
        return await accepts(instance.port)

    async def _crossing(self, sides: Sides) -> list[tuple[Instance, str]]:
        """Return every node that is reached through a link, with the region from which it is."""
        others = {sides.majority: sides.minority, sides.minority: sides.majority}
        return [(i, others[i.region]) for i in await self.control.instances() if i.crossing is not None]

    def _speech(self, component: str) -> held.Protocol:
        return (self.nodes.speeches if self.nodes else {}).get(component, NATS_ROUTE)

    async def _tried(
        self, node: Instance, source: str, port: int | None, before: str, expected: frozenset[Answer]
    ) -> Observation:
        answer = await answer_of(port or 0, self._speech(node.component).hello, seconds=self.patience)
        return Observation(f"{source} to {node.name}", before, answer.value, answer in expected)


def _id(pid: int | None) -> str | None:
    return None if pid is None else f"pid {pid}"


async def _away(now: Instance, was: Mapping[str, Any]) -> Observation:
    """Whether an instance that is to stay away is down: no process, and a port that refuses. One whose port refused
    already shows nothing."""
    refuses = not await accepts(now.port)
    accepted = was.get("accepted", True)
    state = "no process" if now.pid is None else f"pid {now.pid}"
    before = f"pid {was['pid']}, port {now.port} {'accepts' if accepted else 'refuses'}"
    after = f"{state}, port {now.port} {'refuses' if refuses else 'accepts'}"
    return Observation(now.name, before, after, accepted and now.pid is None and refuses)
