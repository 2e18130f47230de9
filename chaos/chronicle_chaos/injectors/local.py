"""Faults on a cluster of local processes: signals, and the proxies between its regions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from chronicle_chaos.faults import Component, Crashes, Fault, NodeKill, Outage, Partition, needs_quorum
from chronicle_chaos.injection import (
    CleanupFailed,
    Evidence,
    Fidelity,
    Injection,
    NotApplicable,
    Observation,
    PreflightError,
    UndoLog,
)
from chronicle_chaos.injectors.crashing import LATE_SECONDS, moments, not_done
from chronicle_chaos.injectors.healing import Step, take_all
from chronicle_chaos.injectors.held import COCKROACH, NATS_ROUTE, Held
from chronicle_chaos.injectors.probes import Answer, answer_of, api_ready, busiest, chosen_for, cockroach_leases
from chronicle_chaos.local.control import Control, ControlFailed, Instance
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.local.waiting import NotReady, accepts, until
from chronicle_chaos.target import Target

INSTALL_COCKROACH = "install CockroachDB or run: chronicle fetch cockroach"
START_ANEW = "stop `chronicle up` and start it again"
RESTART_SECONDS = 30.0

PROTOCOLS = {Component.COCKROACH.value: COCKROACH, Component.NATS.value: NATS_ROUTE}
ANSWERS = frozenset({Answer.YES})
WHEN_CUT = {
    Mode.BLACKHOLE: (frozenset({Answer.TIMED_OUT}), frozenset({Answer.TIMED_OUT})),
    Mode.REFUSE: (frozenset({Answer.REFUSED}), frozenset({Answer.CLOSED, Answer.RESET})),
    Mode.RESET: (frozenset({Answer.RESET}), frozenset({Answer.RESET})),
}
"""What comes of a question over a new connection, and over one from before, where a link is cut in this way."""


class LocalInjector:
    """Breaks a `LocalCluster`, of this process or of another one's `chronicle up`, through its control socket."""

    name = "local"
    fidelity: Fidelity = "process"

    def __init__(
        self, target: Target, control: Control | None = None, *, cut: Mode = Mode.BLACKHOLE, patience: float = 2.0
    ) -> None:
        """`cut` is what the links do in a partition; `patience` is how many seconds a probe waits for its answer."""
        self._cut = cut
        self._patience = patience
        self._target = target
        self._control = control or Control(Path(str(target.details["control"])))

    async def preflight(self, fault: Fault) -> None:
        """Sweep what a dead run left, and check that there is something to break."""
        if needs_quorum(fault) and self._target.database != "cockroachdb":
            raise NotApplicable("one PostgreSQL has no second node and no quorum", next_step=INSTALL_COCKROACH)
        try:
            await self._mend()
            missing = [i.name for i in await self._control.instances() if i.pid is None]
            if missing:
                await self._wait_back(missing)
        except (CleanupFailed, ControlFailed, NotReady) as error:
            raise PreflightError(
                str(error) or "not everything runs", next_step="start it with: chronicle up"
            ) from error

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        """Begin: the undo is written first."""
        leases: dict[str, int] = {}
        match fault:
            case NodeKill(component=Component.COCKROACH):
                node, leases = await self._busiest()
                victims = [node]
            case NodeKill(component):
                victims = [rng.choice(await self._control.instances(component))]
            case Outage(component):
                victims = await self._control.instances(component)
            case Crashes(component):
                could = await self._control.instances(component)
                victims = [rng.choice(could)]
            case Partition():
                return await self._partition(fault, undo)
        # The crashes that follow hit others as well, so all that could be hit are written down.
        hit = [v.name for v in (could if isinstance(fault, Crashes) else victims)]
        undo.record(f"{', '.join(hit)} may run again", {"release": hit})
        keep_away = not isinstance(fault, Crashes)
        await asyncio.gather(*(self._control.kill(v.name, keep_away=keep_away) for v in victims))
        before = {v.name: {"pid": v.pid, "started_at": v.started_at, "port": v.port} for v in victims}
        state: dict[str, Any] = {"before": before, "seed": rng.randrange(2**32), "leases": leases}
        return Injection(fault, tuple(v.name for v in victims), state)

    async def evidence(self, injection: Injection) -> Evidence:
        """Processes that are gone and ports that refuse; of a CockroachDB node also why it was that one; probes across
        the cut and inside the majority."""
        seen = await self._seen(injection)
        if leases := injection.state.get("leases"):
            seen = [chosen_for(leases, injection.targets[0]), *seen]
        return Evidence(tuple(seen))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Crashes go on at random moments; everything else is watched, and looked at once more at the end."""
        fault = injection.fault
        if isinstance(fault, Crashes):
            return await self._crash_again(fault, Random(injection.state["seed"]), seconds)  # noqa: S311 - seeded
        await asyncio.sleep(seconds)
        return await self._seen(injection)

    async def heal(self, injection: Injection) -> None:
        """Undo everything that this cluster can have: cheap, and safe to repeat."""
        for connection in injection.state.get("held", ()):
            connection.close()
        await self._mend()

    async def healed(self, injection: Injection) -> Evidence:
        """Everything that was hit runs and answers; bytes cross between the regions."""
        if isinstance(injection.fault, Partition):
            return Evidence(tuple(await self._across(injection.fault, (), blocked=False)))
        names = injection.targets
        observations = []
        for instance in await self._control.instances():
            if instance.name in names or (
                isinstance(injection.fault, Crashes) and instance.component == injection.fault.component
            ):
                up = await _answers(instance)
                after = f"pid {instance.pid}, answers" if up else "does not answer yet"
                observations.append(Observation(f"{instance.name} after healing", "killed", after, up))
        return Evidence(tuple(observations))

    async def _seen(self, injection: Injection) -> list[Observation]:
        if isinstance(injection.fault, Partition):
            return await self._across(injection.fault, injection.state["held"], blocked=True)
        now = {i.name: i for i in await self._control.instances()}
        away = not isinstance(injection.fault, Crashes)
        return [await _gone(now[name], was, away=away) for name, was in injection.state["before"].items()]

    async def _mend(self) -> None:
        """Raises CleanupFailed, after every step that can be taken was taken."""
        links = Step("the links between the regions", lambda: self._control.set_links(Mode.PASS), START_ANEW)
        await take_all([links, Step("what was killed", self._release, START_ANEW)])

    async def _release(self) -> None:
        names = [instance.name for instance in await self._control.instances()]
        await take_all([Step(name, partial(self._control.release, name), START_ANEW) for name in names])

    async def _wait_back(self, names: Sequence[str]) -> None:
        async def back() -> bool:
            return all(i.pid is not None for i in await self._control.instances() if i.name in names)

        await until(back, f"{', '.join(names)} run again", seconds=RESTART_SECONDS)

    async def _busiest(self) -> tuple[Instance, dict[str, int]]:
        nodes = {i.name: i for i in await self._control.instances(Component.COCKROACH)}
        leases = await cockroach_leases({name: node.url for name, node in nodes.items()})
        return nodes[busiest(leases)], leases

    async def _partition(self, cut: Partition, undo: UndoLog) -> Injection:
        held: list[Held] = []
        try:
            for node, source in await self._crossing(cut):
                subject = f"{source} to {node.name}, over a connection from before"
                held.append(await Held.open(subject, node.crossing or 0, PROTOCOLS[node.component]))
            undo.record("links between the regions pass again", {"links": Mode.PASS.value})
            await self._control.set_links(self._cut)
            await asyncio.gather(*(connection.settle() for connection in held))
        except BaseException:
            for connection in held:
                connection.close()
            raise
        return Injection(fault=cut, targets=(f"{cut.majority} | {cut.minority}: {self._cut}",), state={"held": held})

    async def _crossing(self, cut: Partition) -> list[tuple[Instance, str]]:
        """Every node that is reached through a link, with the region from which it is."""
        others = {cut.majority: cut.minority, cut.minority: cut.majority}
        return [(i, others[i.region]) for i in await self._control.instances() if i.crossing is not None]

    async def _across(self, cut: Partition, held: Sequence[Held], *, blocked: bool) -> list[Observation]:
        """New connections through every link, each way, and, where they are `blocked`, those from before, and new ones
        inside the majority: no more than the links is cut."""
        fresh, live = WHEN_CUT[self._cut]
        crossing = [(node, source, node.crossing) for node, source in await self._crossing(cut)]
        inside = [
            (node, f"within {cut.majority}", node.peers) for node, _, _ in crossing if node.region == cut.majority
        ]

        async def new(node: Instance, source: str, port: int | None, wanted: frozenset[Answer]) -> Observation:
            answer = await answer_of(port or 0, PROTOCOLS[node.component].hello, seconds=self._patience)
            before = "reachable" if blocked else "cut off"
            return Observation(f"{source} to {node.name}", before, answer.value, answer in wanted)

        async def old(connection: Held) -> Observation:
            answer = await connection.ask(self._patience)
            return Observation(connection.subject, "answers", answer.value, answer in live)

        if not blocked:
            return await asyncio.gather(*(new(*link, ANSWERS) for link in crossing))
        return await asyncio.gather(
            *(new(*link, fresh) for link in crossing),
            *(old(connection) for connection in held),
            *(new(*link, ANSWERS) for link in inside),
        )

    async def _crash_again(self, fault: Crashes, rng: Random, seconds: float) -> list[Observation]:
        """The first crash was the injection's; the others fall at random moments of the window."""
        began = time.monotonic()
        observations: list[Observation] = []
        for number, moment in enumerate(moments(rng, fault.times - 1, seconds), 2):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            victim, why = await self._ready_victim(fault.component, rng, until=began + seconds + LATE_SECONDS)
            if victim is None:
                observations += not_done(number, fault.times, f"none was killed: {why}")
                break
            pid = await self._control.kill(victim.name, keep_away=False)
            after = "nothing ran" if pid is None else f"pid {pid} killed"
            observations.append(Observation(f"{victim.name}, crash {number}", f"pid {victim.pid}", after, bool(pid)))
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        return observations

    async def _ready_victim(self, component: Component, rng: Random, *, until: float) -> tuple[Instance | None, str]:
        """One that serves requests now, while another does too: a crash of the last one would be an outage."""
        while True:
            instances = await self._control.instances(component)
            ready = [i for i in instances if i.pid is not None and await api_ready(i.url)]
            if len(ready) > 1:
                return rng.choice(ready), ""
            if time.monotonic() >= until:
                return None, f"{len(ready)} of {len(instances)} instances were ready, and one has to be left"
            await asyncio.sleep(0.2)


async def _gone(now: Instance, was: Mapping[str, Any], *, away: bool) -> Observation:
    """`away`: it must be down. Otherwise it must have been killed: down, or another process already."""
    refuses = not await accepts(now.port)
    other = now.pid is not None and now.pid != was["pid"]
    state = "no process" if now.pid is None else f"pid {now.pid}"
    port = f"port {now.port} {'refuses' if refuses else 'accepts'}"
    shows = (now.pid is None and refuses) if away else (now.pid is None or other)
    return Observation(now.name, f"pid {was['pid']}, port {now.port} accepts", f"{state}, {port}", shows)


async def _answers(instance: Instance) -> bool:
    if instance.pid is None:
        return False
    if instance.component == Component.API:
        return await api_ready(instance.url)
    return await accepts(instance.port)
