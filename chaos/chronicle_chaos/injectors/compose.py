"""Breaks the compose stack: containers are killed, stopped and started, regions cut apart.

Runs on the host, where Docker's command line is; no container gets Docker's socket, which would be root on the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from random import Random

from chronicle_chaos.faults import Component, Crashes, Fault, NodeKill, Outage, Partition
from chronicle_chaos.injection import (
    Evidence,
    Fidelity,
    Injection,
    InjectionError,
    Observation,
    PreflightError,
    UndoLog,
)
from chronicle_chaos.injectors.compose_cut import Cut
from chronicle_chaos.injectors.compose_held import HeldAcross
from chronicle_chaos.injectors.compose_names import CONTAINERS, EVERY, PORTS, REGIONS
from chronicle_chaos.injectors.compose_probes import Probes, halves
from chronicle_chaos.injectors.crashing import moments, not_done
from chronicle_chaos.injectors.docker import Container, Docker
from chronicle_chaos.injectors.healing import Step, take_all
from chronicle_chaos.injectors.probes import busiest, chosen_for

DOWN_SECONDS = 1.0
"""How long a crashed instance stays away. Docker takes `docker kill` for a wish and leaves the container dead, restart
policy or not, so the injector stands in for whatever restarts a crashed process elsewhere."""

STOP_GRACE_SECONDS = 5


class ComposeInjector:
    """The `Injector` of the compose stack."""

    name = "Docker"
    fidelity: Fidelity = "container"

    def __init__(self, docker: Docker | None = None, cut: Cut | None = None, *, patience: float = 15.0) -> None:
        """`patience` is how many seconds the crashed instance may take to be ready before the next one crashes."""
        self.patience = patience
        self.docker = docker or Docker()
        self.cut = cut or Cut.by_environment(self.docker)
        self.probes = Probes(self.docker)

    async def preflight(self, fault: Fault) -> None:
        """Every container must be there; what a killed run left (pauses, dead containers, cuts) is taken away."""
        await self.docker.call("version", "--format", "{{.Server.Version}}")
        missing = [name for name in EVERY if await self.docker.container(name) is None]
        if missing:
            raise PreflightError(f"there is no container {missing[0]}", next_step="run `docker compose up -d`")
        if isinstance(fault, Partition):
            await self.cut.prepare()
        await self._mend(cut=isinstance(fault, Partition) or await self.cut.possible())

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        """Begin: kill, stop, or cut."""
        leases: dict[str, int] = {}
        match fault:
            case NodeKill(component=Component.COCKROACH):
                leases = await self.probes.leases()
                victims: tuple[str, ...] = (busiest(leases),)
            case NodeKill() | Crashes():
                victims = (rng.choice(CONTAINERS[fault.component]),)
            case Outage():
                victims = CONTAINERS[fault.component]
            case Partition():
                return await self._partition(fault, undo)
        before = {name: await self._container(name) for name in victims}
        reachable = await self.probes.reachable(victims, PORTS[fault.component])
        # The crashes that follow hit others as well, so all that could be hit are written down.
        hit = CONTAINERS[fault.component] if isinstance(fault, Crashes) else victims
        undo.record(f"start {', '.join(hit)}", {"start": list(hit)})
        if isinstance(fault, Outage):
            await asyncio.gather(*(self.docker.call("stop", f"--time={STOP_GRACE_SECONDS}", n) for n in victims))
        else:
            await self._strike(victims[0])
        if isinstance(fault, Crashes):
            await asyncio.sleep(DOWN_SECONDS)
            await self.docker.call("start", victims[0])
        return Injection(fault, victims, {"before": before, "reachable": reachable, "rng": rng, "leases": leases})

    async def evidence(self, injection: Injection) -> Evidence:
        """Killed and stopped: not running, and nothing listens; of a CockroachDB node also why it was that one.
        Crashed: another process. Cut: see `Probes.across`."""
        seen = await self._seen(injection)
        if leases := injection.state.get("leases"):
            seen = (chosen_for(leases, injection.targets[0]), *seen)
        return Evidence(seen)

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Stay; crash the others at random moments; at the end look once more whether the fault is still there."""
        if isinstance(injection.fault, Crashes):
            return await self._crashes(injection.fault, injection.state["rng"], seconds)
        await asyncio.sleep(seconds)
        return await self._seen(injection)

    async def heal(self, injection: Injection) -> None:
        """Take the cut out, start what is dead, let go on what is paused. Idempotent, and needs to know nothing but the
        kind of fault, so it heals one that was only half begun as well."""
        for connections in injection.state.get("held", ()):
            await connections.close()
        await self._mend(cut=isinstance(injection.fault, Partition))

    async def healed(self, injection: Injection) -> Evidence:
        """Everything runs and is reached again."""
        fault = injection.fault
        if isinstance(fault, Partition):
            return Evidence(await self.probes.across(fault, {}, cut=False))
        observations = []
        reachable = await self.probes.reachable(injection.targets, PORTS[fault.component])
        for name in injection.targets:
            state, answers = (await self._container(name)).state, reachable[name]
            after = f"{state}, {'listens' if answers else 'does not listen yet'}"
            observations.append(Observation(f"container {name}", "gone", after, answers))
        return Evidence(tuple(observations))

    async def versions(self) -> dict[str, str]:
        """Docker's version and the images under test, for the journal."""
        names = ("chronicle-api-1", "chronicle-cockroach-1", "chronicle-nats-1", "chronicle-lb")
        asked = [self.docker.attempt("inspect", "--format", "{{.Config.Image}}", name) for name in names]
        images = await asyncio.gather(*asked)
        found = {
            name.split("-")[1]: image for name, (status, image, _) in zip(names, images, strict=True) if not status
        }
        return {**found, "docker": await self.docker.call("version", "--format", "{{.Server.Version}}")}

    async def _seen(self, injection: Injection) -> tuple[Observation, ...]:
        fault, state = injection.fault, injection.state
        if isinstance(fault, Partition):
            live = await asyncio.gather(*(connections.silent() for connections in state["held"]))
            return (*await self.probes.across(fault, state["reachable"], cut=True), *chain.from_iterable(live))
        if isinstance(fault, Crashes):
            return tuple([await self._is_another(state["before"][name]) for name in injection.targets])
        return await self._gone(injection)

    async def _strike(self, name: str) -> None:
        await self.docker.call("kill", "--signal=KILL", name)

    async def _partition(self, fault: Partition, undo: UndoLog) -> Injection:
        inside, outside = REGIONS[fault.minority], REGIONS[fault.majority]
        found = [await self._container(name) for name in outside]
        addresses = [address for container in found for address in container.addresses]
        if not addresses:
            raise InjectionError("no container of the other region has an address", next_step="docker compose up -d")
        reachable = await self.probes.pairs(fault)
        held: list[HeldAcross] = []
        try:
            held.extend(await self._hold(fault))
            undo.record(f"take the chain out of {', '.join(inside)}", {"restart": list(inside)})
            await self.cut.put_in(inside, addresses)
            await asyncio.gather(*(connections.settle() for connections in held))
        except BaseException:
            await asyncio.gather(*(connections.close() for connections in held))
            raise
        return Injection(fault, inside, {"reachable": reachable, "held": held})

    async def _hold(self, fault: Partition) -> list[HeldAcross]:
        (here, own), (there, others) = halves(fault)
        return [
            await HeldAcross.open(self.docker, here, others),
            await HeldAcross.open(self.docker, there, own),
        ]

    async def _crashes(self, fault: Crashes, rng: Random, seconds: float) -> Sequence[Observation]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        observations: list[Observation] = []
        for number, moment in enumerate(moments(rng, fault.times - 1, seconds), 2):
            await asyncio.sleep(max(0.0, began + moment - loop.time()))
            try:
                # One at a time: whoever was hit before is back, or two would be away at once.
                await self.probes.all_ready(CONTAINERS[fault.component], self.patience)
            except InjectionError as error:
                observations += not_done(number, fault.times, f"none was killed: {error}")
                break
            victim = await self._container(rng.choice(CONTAINERS[fault.component]))
            await self._strike(victim.name)
            await asyncio.sleep(DOWN_SECONDS)
            await self.docker.call("start", victim.name)
            observations.append(await self._is_another(victim))
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        return observations

    async def _gone(self, injection: Injection) -> tuple[Observation, ...]:
        before: Mapping[str, Container] = injection.state["before"]
        was: Mapping[str, bool] = injection.state["reachable"]
        now = await self.probes.reachable(injection.targets, PORTS[injection.fault.component])  # type: ignore[union-attr]
        found = []
        for name in injection.targets:
            container = await self._container(name)
            found.append(Observation(f"container {name}", before[name].state, container.state, not container.running))
            heard = Observation(f"port of {name}", _heard(was[name]), _heard(now[name]), was[name] and not now[name])
            found.append(heard)
        return tuple(found)

    async def _is_another(self, before: Container) -> Observation:
        now = await self._container(before.name)
        changed = now.started_at != before.started_at and now.pid != before.pid
        began = (before.started_at[:23], now.started_at[:23])
        return Observation(
            f"process of {before.name}",
            f"pid {before.pid}, began {began[0]}",
            f"pid {now.pid}, began {began[1]}",
            changed,
        )

    async def _mend(self, *, cut: bool) -> None:
        """Raises CleanupFailed, after every step that can be taken was taken. `cut`: take one out as well."""
        steps = self.cut.removal(REGIONS[Partition().minority]) if cut else []
        await take_all([*steps, *(Step(name, partial(self._revive, name), "docker start", name) for name in EVERY)])

    async def _revive(self, name: str) -> None:
        container = await self._container(name)
        if container.paused:
            await self.docker.call("unpause", name)
        elif not container.running:
            await self.docker.call("start", name)

    async def _container(self, name: str) -> Container:
        found = await self.docker.container(name)
        if found is None:
            raise InjectionError(f"there is no container {name}", next_step="run `docker compose up -d`")
        return found


def _heard(answers: bool) -> str:
    return "listens" if answers else "does not listen"


async def sweep(injector: ComposeInjector | None = None) -> None:
    """Take away cuts and pauses that a killed run left. Stopped containers stay: somebody may have meant it."""
    injector = injector or ComposeInjector()
    for name in EVERY:
        container = await injector.docker.container(name)
        if container is not None and container.paused:
            await injector.docker.call("unpause", name)
    with suppress(PreflightError):
        await injector.cut.prepare()
        await take_all(injector.cut.removal(REGIONS[Partition().minority]))
