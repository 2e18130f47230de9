"""Faults by Chaos Mesh on a ledger in Kubernetes.

| fault | experiment | own evidence |
| --- | --- | --- |
| NodeKill | pod-kill of one pod, and again when it is back, for the window | its uid is another, or it is gone |
| Crashes | pod-kill of one pod after the other | the same, for each |
| Outage | partition of every NATS pod from all others, each other and this run | no connection is made |
| Partition | partition of the pods of the two sides | the majority misses a node, the minority does not work |

Chaos Mesh's word is never enough: an experiment without a pod claims to be injected. Nor is ours alone: a pod may go by
itself. Both must say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from chronicle_chaos.client import open_client
from chronicle_chaos.faults import Component, Crashes, Fault, NodeKill, Outage, Partition
from chronicle_chaos.injection import (
    CleanupFailed,
    Evidence,
    Fidelity,
    Injection,
    InjectionError,
    NotApplicable,
    Observation,
    PreflightError,
    UndoLog,
)
from chronicle_chaos.injectors import experiments
from chronicle_chaos.injectors.kubernetes import PLURALS, Kubernetes, KubernetesError, PodState
from chronicle_chaos.target import Target

INSTANCE, COMPONENT, REGION = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "ledger.chronicle.dev/region",
)
COMPONENTS = {Component.COCKROACH: "cockroachdb", Component.NATS: "nats", Component.API: "api"}
SPEAKING = ("api", "nats", "projector", "relay", "scenarios")
"""Components whose pods speak with NATS, or look whether they could."""

POLL_SECONDS = 0.7
KEEP_AWAY_SECONDS = 0.3
READY_SHARE = 0.2
"""The largest share of looks at which a pod that is kept away may be Ready."""

DELETION_SECONDS = 60.0
INSTALL = "install Chaos Mesh 2.4 or later (docs/chaos-mesh.md) to get this scenario"


class ChaosMeshInjector:
    """Injects into the ledger `target.details["ledger"]` of one namespace; `run` labels everything it makes."""

    name = "ChaosMesh"
    fidelity: Fidelity = "cluster"

    def __init__(self, target: Target, kubernetes: Kubernetes, run: str) -> None:
        self._target = target
        self._kubernetes = kubernetes
        self._namespace = str(target.details["namespace"])
        self._ledger = str(target.details["ledger"])
        self._run = run
        self._made = 0

    @property
    def _labels(self) -> dict[str, str]:
        return {experiments.LEDGER: self._ledger, experiments.RUN: self._run}

    def _select(self, component: Component | None = None) -> dict[str, str]:
        chosen = {INSTANCE: self._ledger}
        return chosen | ({COMPONENT: COMPONENTS[component]} if component else {})

    async def preflight(self, fault: Fault) -> None:
        """See `Injector.preflight`."""
        try:
            for kind in PLURALS:
                for left in await self._kubernetes.experiments(kind, {experiments.LEDGER: self._ledger}):
                    await self._remove(left)
        except KubernetesError as error:
            if error.code == 404:
                raise NotApplicable("Chaos Mesh is not installed in this cluster", next_step=INSTALL) from error
            if error.code in (401, 403):
                raise PreflightError(
                    f"Chaos Mesh's objects may not be used: {error}",
                    next_step="grant the run's ServiceAccount podchaos and networkchaos of chaos-mesh.org",
                ) from error
            raise PreflightError(f"Kubernetes does not answer: {error}") from error
        except CleanupFailed as error:
            raise PreflightError(f"an earlier run left something: {error}", next_step=error.next_step) from error
        match fault:
            case NodeKill(component) | Crashes(component) | Outage(component):
                found = await self._pods(component)
                if not found or not all(it.ready for it in found):
                    raise PreflightError(
                        f"{sum(it.ready for it in found)} of {len(found)} {COMPONENTS[component]} pods are ready",
                        next_step="wait until the ledger is Ready",
                    )
            case Partition(majority, minority):
                sides = self._sides()
                if majority not in sides or minority not in sides:
                    raise NotApplicable(
                        "the ledger has no region that is a minority by itself",
                        next_step="spec.regions with, for example, two database nodes in one and one in another",
                    )

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        """See `Injector.inject`."""
        undo.record("experiments of this run in Chaos Mesh", {"namespace": self._namespace, "labels": self._labels})
        try:
            match fault:
                case NodeKill(component) | Crashes(component):
                    victim = await self._victim(component, rng)
                    made = await self._kill(victim)
                    state: dict[str, Any] = {"victim": victim, "expected": len(await self._pods(component))}
                    return self._injection(fault, (victim.name,), [made], state)
                case Outage(component):
                    pods = await self._pods(component)
                    # Named one by one: a Job's pod that has ended has no network left to cut, and would never count
                    # as injected.
                    others = {"key": COMPONENT, "operator": "In", "values": list(SPEAKING)}
                    made = await self._cut(
                        {"labelSelectors": self._select(component)},
                        {"labelSelectors": self._select(), "expressionSelectors": [others]},
                    )
                    state = {"addresses": self._target.details.get("nats", [])}
                    return self._injection(fault, tuple(it.name for it in pods), [made], state)
                case Partition(majority, minority):
                    sides = self._sides()
                    made = await self._cut(self._side(sides[majority]), self._side(sides[minority]))
                    return self._injection(fault, (*sides[majority], *sides[minority]), [made], {})
        except KubernetesError as error:
            raise InjectionError(f"Chaos Mesh did not take the experiment: {error}") from error

    async def evidence(self, injection: Injection) -> Evidence:
        """See `Injector.evidence`."""
        found = [await self._said_by_chaos_mesh(it) for it in injection.experiments]
        match injection.fault:
            case NodeKill() | Crashes():
                found.append(await self._gone(injection.state["victim"]))
            case Outage():
                found += [await _unreachable(str(it)) for it in injection.state["addresses"]]
            case Partition(majority, minority):
                found += await self._cut_seen(majority, minority)
        return Evidence(tuple(found))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """See `Injector.during`."""
        match injection.fault:
            case NodeKill():
                return [await self._keep_away(injection.state["victim"], seconds)]
            case Crashes(component, times):
                return await self._crash(component, times - 1, seconds)
            case _:
                await asyncio.sleep(seconds)
                return list((await self.evidence(injection)).observations)

    async def heal(self, injection: Injection) -> None:
        """See `Injector.heal`."""
        del injection  # all of the run's experiments, also those whose creation was interrupted
        try:
            for kind in PLURALS:
                for left in await self._kubernetes.experiments(kind, self._labels):
                    await self._remove(left)
        except KubernetesError as error:
            labels = ",".join(f"{key}={value}" for key, value in self._labels.items())
            raise CleanupFailed(
                f"Kubernetes did not answer: {error}",
                next_step=f"kubectl -n {self._namespace} delete podchaos,networkchaos -l {labels}",
            ) from error

    async def healed(self, injection: Injection) -> Evidence:
        """See `Injector.healed`."""
        try:
            left = [it for kind in PLURALS for it in await self._kubernetes.experiments(kind, self._labels)]
            pods = await self._kubernetes.pods({INSTANCE: self._ledger})
        except KubernetesError as error:
            raise InjectionError(str(error)) from error
        serving = [it for it in pods if it.labels.get(COMPONENT) in COMPONENTS.values()]
        waiting = [it.name for it in serving if not it.ready]
        said = f"{', '.join(waiting)} not ready" if waiting else f"{len(serving)} ready"
        found = [
            Observation("experiments of this run", "some", f"{len(left)} left", not left),
            Observation("pods of the ledger", "some not ready", said, bool(serving) and not waiting),
        ]
        if isinstance(injection.fault, Outage):
            reached = [await _unreachable(str(it)) for it in injection.state["addresses"]]
            found += [Observation(it.subject, it.after, "reachable", not it.shows_fault) for it in reached]
        return Evidence(tuple(found))

    # Experiments

    async def _kill(self, victim: PodState) -> Mapping[str, Any]:
        made = experiments.pod_kill(self._next("kill"), self._namespace, self._labels, [victim.name])
        return await self._create(made)

    async def _cut(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
        seconds = float(self._target.details.get("longest", 120)) + experiments.DEAD_MAN
        made = experiments.partition(self._next("cut"), self._namespace, self._labels, one, other, seconds)
        return await self._create(made)

    async def _create(self, experiment: dict[str, Any]) -> Mapping[str, Any]:
        return await self._kubernetes.create(experiments.owned(experiment, self._target.details.get("owner")))

    def _next(self, what: str) -> str:
        self._made += 1
        return f"{self._ledger}-{self._run[:20]}-{what}-{self._made}".lower()

    def _injection(
        self, fault: Fault, targets: tuple[str, ...], made: Sequence[Mapping[str, Any]], state: Mapping[str, Any]
    ) -> Injection:
        return Injection(fault, targets, state, tuple(experiments.reference(it) for it in made))

    async def _remove(self, experiment: Mapping[str, Any]) -> None:
        kind, name = str(experiment.get("kind") or "PodChaos"), str(experiment["metadata"]["name"])
        await self._kubernetes.delete(kind, name)
        try:
            async with asyncio.timeout(DELETION_SECONDS):
                while await self._kubernetes.experiment(kind, name) is not None:  # noqa: ASYNC110 - in the cluster
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise CleanupFailed(
                f"{kind} {name} is still there {DELETION_SECONDS:g} s after its deletion",
                next_step=experiments.release_command(experiment),
            ) from None

    async def _said_by_chaos_mesh(self, reference: Mapping[str, str]) -> Observation:
        subject = f"{reference['kind']} {reference['name']}"
        found = await self._kubernetes.experiment(reference["kind"], reference["name"])
        if found is None:
            return Observation(subject, "created", "gone", shows_fault=False)
        at_work, said = experiments.injected(found)
        return Observation(subject, "created", said, at_work)

    # Pods

    async def _pods(self, component: Component) -> list[PodState]:
        try:
            return await self._kubernetes.pods(self._select(component))
        except KubernetesError as error:
            raise InjectionError(f"the pods cannot be listed: {error}") from error

    async def _victim(self, component: Component, rng: Random) -> PodState:
        return rng.choice(await self._pods(component))

    async def _now(self, name: str) -> PodState | None:
        return next((it for it in await self._kubernetes.pods({INSTANCE: self._ledger}) if it.name == name), None)

    async def _gone(self, victim: PodState) -> Observation:
        now = await self._now(victim.name)
        before = f"uid {victim.uid}, started {victim.started}"
        if now is None:
            return Observation(f"pod {victim.name}", before, "gone", shows_fault=True)
        return Observation(f"pod {victim.name}", before, f"uid {now.uid}, started {now.started}", now.uid != victim.uid)

    async def _keep_away(self, victim: PodState, seconds: float) -> Observation:
        """Kill the pod's successors as soon as they are seen, so that it is away for the window and not for a moment.

        One that starts faster than it is killed may be Ready for a moment; it is the share of looks that counts.
        """
        loop = asyncio.get_running_loop()
        until, kills, looks, ready, seen = loop.time() + seconds, 1, 0, 0, victim.uid
        while loop.time() < until:
            now = await self._now(victim.name)
            looks += 1
            ready += now is not None and now.ready
            if now is not None and now.uid != seen:
                seen = now.uid
                await self._kill(now)
                kills += 1
            await asyncio.sleep(KEEP_AWAY_SECONDS)
        said = f"killed {kills} times in {seconds:g} s, ready at {ready} of {looks} looks"
        return Observation(f"pod {victim.name}", "ready", said, shows_fault=ready <= looks * READY_SHARE)

    async def _crash(self, component: Component, times: int, seconds: float) -> list[Observation]:
        found: list[Observation] = []
        pause = seconds / (times + 1)
        for _ in range(times):
            await asyncio.sleep(pause)
            running = [it for it in await self._pods(component) if it.ready]
            if len(running) < 2:
                continue  # one that answers has to be left: the scenario is about the others taking over
            victim = running[self._made % len(running)]
            await self._kill(victim)
            found.append(await self._until_gone(victim))
        await asyncio.sleep(pause)
        return found

    async def _until_gone(self, victim: PodState) -> Observation:
        seen = await self._gone(victim)
        for _ in range(20):
            if seen.shows_fault:
                break
            await asyncio.sleep(POLL_SECONDS)
            seen = await self._gone(victim)
        return seen

    # Regions

    def _sides(self) -> Mapping[str, Sequence[str]]:
        sides: Mapping[str, Sequence[str]] = self._target.details.get("sides") or {}
        return sides

    def _side(self, regions: Sequence[str]) -> dict[str, Any]:
        return {
            "labelSelectors": self._select(),
            "expressionSelectors": [{"key": REGION, "operator": "In", "values": list(regions)}],
        }

    async def _cut_seen(self, majority: str, minority: str) -> list[Observation]:
        """What both sides say of the database: the majority misses a node and works, the minority cannot."""
        larger, smaller = await self._database(majority), await self._database(minority)
        live, total = larger.get("nodes_live"), larger.get("nodes_total")
        misses = isinstance(live, int) and isinstance(total, int) and live < total
        return [
            Observation(f"database seen from {majority}", "all nodes live", f"{live} of {total} nodes live", misses),
            Observation(
                f"database seen from {minority}", "ok", str(smaller.get("status")), smaller.get("status") != "ok"
            ),
        ]

    async def _database(self, side: str) -> Mapping[str, Any]:
        async with open_client(self._target) as client:
            for url in self._target.regions.get(side, ()):
                answer = await client.request("GET", f"{url}/health", timeout=5.0)
                if isinstance(answer.body, Mapping):
                    found: Mapping[str, Any] = (answer.body.get("components") or {}).get("database") or {}
                    return found
        return {"status": "no answer"}


async def _unreachable(address: str) -> Observation:
    """Whether no connection to `host:port` is made within two seconds."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(2.0):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except (OSError, TimeoutError) as error:
        return Observation(f"connection to {address}", "made", type(error).__name__, shows_fault=True)
    return Observation(f"connection to {address}", "made", "made", shows_fault=False)
