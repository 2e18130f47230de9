"""Faults by Chaos Mesh on a ledger in Kubernetes.

| fault | experiment | own evidence |
| --- | --- | --- |
| NodeKill | pod-kill of one pod; partition of its successor from all others | its uid is another, and it is not Ready |
| Crashes | pod-kill of one pod after the other | each one's uid is another |
| Outage | partition of every NATS pod from all others, each other and this run | no connection is made |
| Partition | partition of the pods of the two sides | the majority misses a node and works, the minority does not |

Chaos Mesh's word is never enough: an experiment without a pod claims to be injected. Nor is ours alone: a pod may go by
itself. Both must say so. What was before is looked at too, right before: a server that was away already proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any

from chronicle_chaos.faults import Component, Crashes, Fault, NodeKill, Outage, Partition
from chronicle_chaos.injection import (
    CleanupFailed,
    Evidence,
    Fidelity,
    Injection,
    InjectionError,
    Observation,
    PreflightError,
    UndoLog,
)
from chronicle_chaos.injectors import cluster_probes, experiments
from chronicle_chaos.injectors.chaosmesh_away import Away
from chronicle_chaos.injectors.chaosmesh_kills import Kills
from chronicle_chaos.injectors.chaosmesh_preflight import Preconditions
from chronicle_chaos.injectors.experiments import Experiment, In, Metadata, Selector, Wanted
from chronicle_chaos.injectors.kubernetes import PLURALS, Kubernetes, KubernetesError, PodState
from chronicle_chaos.injectors.ledger_pods import COMPONENT, COMPONENTS, REGION, SPEAKING, Place
from chronicle_chaos.target import Target

POLL_SECONDS = 0.7
LAST_LOOK_SECONDS = 10.0
"""For how long a fault is looked for at the end of its window, before it counts as not lasting."""

DELETION_SECONDS = 60.0


class ChaosMeshInjector:
    """Injects into the ledger `target.details["ledger"]` of one namespace; `run` labels everything it makes."""

    name = "ChaosMesh"
    fidelity: Fidelity = "cluster"

    def __init__(self, target: Target, kubernetes: Kubernetes, run: str) -> None:
        self._kubernetes = kubernetes
        self._place = Place(target)
        self._preconditions = Preconditions(kubernetes, self._place)
        self._run = run
        self._numbers = count(1)
        self._made: list[Mapping[str, str]] = []

    @property
    def _labels(self) -> dict[str, str]:
        return {experiments.LEDGER: self._place.ledger, experiments.RUN: self._run}

    async def preflight(self, fault: Fault) -> None:
        """See `Injector.preflight`."""
        try:
            await self._preconditions.usable(self._labels)
            await self._remove({experiments.LEDGER: self._place.ledger})
            await self._preconditions.matching(fault)
            await self._preconditions.before(fault)
        except KubernetesError as error:
            raise PreflightError(f"Kubernetes does not answer: {error}") from error
        except CleanupFailed as error:
            raise PreflightError(f"an earlier run left something: {error}", next_step=error.next_step) from error

    # The fault

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        """See `Injector.inject`."""
        before = await self._preconditions.before(fault)
        self._made = []
        undo.record(
            "experiments of this run in Chaos Mesh", {"namespace": self._place.namespace, "labels": self._labels}
        )
        try:
            match fault:
                case NodeKill(component) | Crashes(component):
                    victim = await self._kills(component).victim(rng)
                    await self._kill(victim)
                    state: dict[str, Any] = {"victim": victim, "rng": rng}
                    return Injection(fault, (victim.name,), state, self._made)
                case Outage(component):
                    pods = await self._kubernetes.pods(self._place.labels(component))
                    # Named one by one: a Job's pod that has ended has no network left to cut, and would never count
                    # as injected.
                    others = self._selector(In(COMPONENT, list(SPEAKING)))
                    await self._cut(self._selector(component=component), others)
                    return Injection(fault, tuple(it.name for it in pods), {"before": before}, self._made)
                case Partition(majority, minority):
                    sides = self._place.sides
                    one, other = (self._selector(In(REGION, list(sides[side]))) for side in (majority, minority))
                    await self._cut(one, other)
                    targets = (*sides[majority], *sides[minority])
                    return Injection(fault, targets, {"before": before}, self._made)
        except KubernetesError as error:
            raise InjectionError(f"Chaos Mesh did not take the experiment: {error}") from error

    async def evidence(self, injection: Injection) -> Evidence:
        """See `Injector.evidence`. What Kubernetes does not answer shows nothing, and is asked again."""
        try:
            found = [await self._said_by_chaos_mesh(it) for it in injection.experiments]
            match injection.fault:
                case NodeKill(component) | Crashes(component):
                    found.append(await self._kills(component).gone(injection.state["victim"]))
                case Outage():
                    found += await asyncio.gather(*(_unreachable(injection, it) for it in self._place.nats))
                case Partition(majority, minority):
                    found += await self._cut_seen(injection, majority, minority)
        except KubernetesError as error:
            if not error.passing:
                raise InjectionError(f"the fault cannot be looked at: {error}") from error
            found = [Observation("Kubernetes", "answered", f"did not answer: {error}", shows_fault=False)]
        return Evidence(tuple(found))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """See `Injector.during`."""
        state = injection.state
        try:
            match injection.fault:
                case NodeKill(component):
                    away = Away(self._kubernetes, self._place.labels(component), self._cut_off)
                    seen, cuts = await away.keep(state["victim"], seconds)
                    return [seen, *[await self._said_by_chaos_mesh(it.reference) for it in cuts]]
                case Crashes(component, times):
                    return await self._kills(component).one_by_one(times, state["rng"], seconds)
                case _:
                    await asyncio.sleep(seconds)
                    return list((await self._last_look(injection)).observations)
        except KubernetesError as error:
            raise InjectionError(f"the fault cannot be kept up: {error}") from error

    async def _last_look(self, injection: Injection) -> Evidence:
        """The evidence at the window's end. A cut does not come back by itself, so one look that shows it is enough: a
        request that was not answered in time on a busy machine disproves nothing."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_LOOK_SECONDS
        while True:
            found = await self.evidence(injection)
            if found.proven or loop.time() >= until:
                return found
            await asyncio.sleep(POLL_SECONDS)

    # The way back

    async def heal(self, injection: Injection) -> None:
        """See `Injector.heal`."""
        del injection  # all of the run's experiments, also those whose creation was interrupted
        try:
            await self._remove(self._labels)
        except KubernetesError as error:
            labels = ",".join(f"{key}={value}" for key, value in self._labels.items())
            raise CleanupFailed(
                f"Kubernetes did not answer: {error}",
                next_step=f"kubectl -n {self._place.namespace} delete podchaos,networkchaos -l {labels}",
            ) from error

    async def healed(self, injection: Injection) -> Evidence:
        """See `Injector.healed`."""
        try:
            left = await self._experiments(self._labels)
            pods = await self._kubernetes.pods(self._place.labels())
        except KubernetesError as error:
            raise InjectionError(str(error)) from error
        serving = [it for it in pods if it.labels.get(COMPONENT) in COMPONENTS.values()]
        waiting = [it.name for it in serving if not it.ready]
        said = f"{', '.join(waiting)} not ready" if waiting else f"{len(serving)} ready"
        found = [
            Observation("experiments of this run", f"{len(self._made)} made", f"{len(left)} left", not left),
            Observation(
                "pods of the ledger", f"hit: {', '.join(injection.targets)}", said, bool(serving and not waiting)
            ),
        ]
        if isinstance(injection.fault, Outage):
            for address in self._place.nats:
                tried = await cluster_probes.connect(address)
                found.append(Observation(f"connection to {address}", "cut off", tried.said, tried.made))
        return Evidence(tuple(found))

    # Experiments

    def _kills(self, component: Component) -> Kills:
        return Kills(self._kubernetes, self._place.labels(component), self._kill)

    async def _kill(self, victim: PodState) -> Experiment:
        return await self._make(experiments.pod_kill(self._metadata("kill"), [victim.name]))

    async def _cut_off(self, pod: PodState) -> Experiment:
        """Cut one pod from all that work on the ledger, this run included."""
        alone = Selector([self._place.namespace], pods={self._place.namespace: [pod.name]})
        return await self._cut(alone, self._selector(In(COMPONENT, [COMPONENTS[Component.COCKROACH], *SPEAKING])))

    async def _cut(self, one: Selector, other: Selector) -> Experiment:
        seconds = float(self._place.target.details.get("longest", 120)) + experiments.DEAD_MAN
        return await self._make(experiments.partition(self._metadata("cut"), one, other, seconds))

    async def _make(self, wanted: Wanted) -> Experiment:
        made = await self._kubernetes.create(wanted)
        self._made.append(made.reference)
        return made

    def _metadata(self, what: str) -> Metadata:
        """Experiments are children of the ledger: gone with it, whoever is left to heal. They do not block its
        deletion, which would need a right on it that a run does not have."""
        name = f"{self._place.ledger}-{self._run[:20]}-{what}-{next(self._numbers)}".lower()
        owner = self._place.target.details.get("owner")
        return Metadata(name, self._place.namespace, self._labels, [dict(owner)] if owner else [])

    def _selector(self, *chosen: In, component: Component | None = None) -> Selector:
        labels = self._place.labels(component)
        return Selector([self._place.namespace], label_selectors=labels, expression_selectors=list(chosen))

    async def _experiments(self, labels: Mapping[str, str]) -> list[Experiment]:
        return [it for kind in PLURALS for it in await self._kubernetes.experiments(kind, labels)]

    async def _remove(self, labels: Mapping[str, str]) -> None:
        """Delete all with these labels, and wait once until all are gone. Raises CleanupFailed, KubernetesError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + DELETION_SECONDS
        asked: set[str] = set()
        while True:
            try:
                left = await self._experiments(labels)
                new = [it for it in left if it.reference["uid"] not in asked]
                await asyncio.gather(*(self._kubernetes.delete(it.kind, it.metadata.name) for it in new))
                asked |= {it.reference["uid"] for it in new}
                if not left:
                    return
            except KubernetesError as error:
                if not error.passing or loop.time() >= until:
                    raise
                left = []
            if left and loop.time() >= until:
                raise CleanupFailed(
                    f"{', '.join(f'{it.kind} {it.metadata.name}' for it in left)} still there"
                    f" {DELETION_SECONDS:g} s after deletion",
                    next_step="; ".join(it.release_command() for it in left),
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _said_by_chaos_mesh(self, reference: Mapping[str, str]) -> Observation:
        subject = f"{reference['kind']} {reference['name']}"
        found = await self._kubernetes.experiment(reference["kind"], reference["name"])
        if found is None:
            return Observation(subject, "created", "gone", shows_fault=False)
        at_work, said = found.injected()
        return Observation(subject, "created", said, at_work)

    async def _cut_seen(self, injection: Injection, majority: str, minority: str) -> list[Observation]:
        """What both sides say of the database: the majority misses a node and works, the minority cannot."""
        larger, smaller = await asyncio.gather(
            cluster_probes.database(self._place.target, majority), cluster_probes.database(self._place.target, minority)
        )
        before: Mapping[str, str] = injection.state["before"]
        return [
            Observation(f"database seen from {majority}", before[majority], larger.said, larger.works_without_some),
            Observation(f"database seen from {minority}", before[minority], smaller.said, smaller.down),
        ]


async def _unreachable(injection: Injection, address: str) -> Observation:
    tried = await cluster_probes.connect(address)
    return Observation(f"connection to {address}", injection.state["before"][address], tried.said, tried.cut)
