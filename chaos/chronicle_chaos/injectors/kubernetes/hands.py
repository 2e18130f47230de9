"""The hands for a ledger in Kubernetes: experiments of Chaos Mesh.

| fault | experiment | own evidence |
| --- | --- | --- |
| kill | pod-kill of one pod; partition of its successor from all others | its uid is another, and it is not Ready |
| crashes | pod-kill of one pod after the other | each one's uid is another |
| outage | partition of every NATS pod from all others, each other and this run | no connection is made |
| partition | partition of the pods of the two sides | the majority misses a node and works, the minority does not |

Chaos Mesh's word is never enough: an experiment without a pod claims to be injected. Nor is ours alone: a pod may go by
itself. Both must say so. What was before is looked at too, right before: a server that was away already proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from typing import ClassVar

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Before, Hands, Process, Sides, WayBack
from chronicle_chaos.injectors.injection import CleanupFailed, Injection, InjectionError, Observation
from chronicle_chaos.injectors.kubernetes import experiments, foreign
from chronicle_chaos.injectors.kubernetes import probes as cluster_probes
from chronicle_chaos.injectors.kubernetes.away import Away
from chronicle_chaos.injectors.kubernetes.client import Kubernetes, KubernetesError, PodState
from chronicle_chaos.injectors.kubernetes.experiments import Experiment, In, Metadata, Selector, Wanted
from chronicle_chaos.injectors.kubernetes.ledger_pods import (
    COMPONENTS,
    SPEAKING,
    Place,
    process_of,
)
from chronicle_chaos.injectors.kubernetes.preflight import WAIT, Preconditions
from chronicle_chaos.target import Target
from chronicle_contract.experiments import MADE
from chronicle_contract.labels import COMPONENT, LEDGER, REGION, RUN

POLL_SECONDS = 0.7
DELETION_SECONDS = 60.0


class ChaosMeshHands(Hands):
    """See `Hands`. Injects into the ledger of `target`; `run` labels every experiment.

    A run has no key to ask the database who holds leases, and its own pod is on neither side of a cut: so no node is
    chosen, and no connection is held.
    """

    remedy: ClassVar[str] = WAIT

    def __init__(self, target: Target, kubernetes: Kubernetes, run: str) -> None:
        self._kubernetes = kubernetes
        self._place = Place(target)
        self._preconditions = Preconditions(kubernetes, self._place)
        self._run = run
        self._numbers = count(1)
        self._made: list[Mapping[str, str]] = []

    @property
    def _labels(self) -> dict[str, str]:
        return {LEDGER: self._place.ledger, RUN: self._run}

    async def usable(self) -> None:
        """See `Hands.usable`."""
        await self._preconditions.usable(self._labels)

    async def sweep(self) -> None:
        """See `Hands.sweep`."""
        await self._remove({LEDGER: self._place.ledger})
        await self._preconditions.undisturbed()

    def instances_of(self, component: Component) -> str:
        """See `Hands.instances_of`."""
        return f"{COMPONENTS[component]} pods"

    def more_of(self, component: Component) -> str:
        """See `Hands.more_of`."""
        return "set spec.api.replicas to 2 or more" if component is Component.API else WAIT

    def witness(self) -> list[Mapping[str, str]]:
        """See `Hands.witness`."""
        self._made = []
        return self._made

    async def processes(self, component: Component) -> list[Process]:
        """See `Hands.processes`."""
        return [process_of(pod) for pod in await self._kubernetes.pods(self._place.labels(component))]

    def way_back(self, names: Sequence[str]) -> WayBack:
        """See `Hands.way_back`."""
        del names
        undo = {"namespace": self._place.namespace, "labels": self._labels}
        return WayBack("experiments of this run in Chaos Mesh", undo)

    async def crash(self, victim: Process) -> None:
        """See `Hands.crash`."""
        await self._make(experiments.pod_kill(self._metadata("kill"), [victim.name]))

    async def kill(self, victim: Process) -> None:
        """See `Hands.kill`. Kubernetes replaces the pod; `keep_away` cuts its successor off."""
        await self.crash(victim)

    async def keep_away(self, component: Component, victim: Process, seconds: float) -> Sequence[Observation]:
        """See `Hands.keep_away`."""
        away = Away(self._kubernetes, self._place.labels(component), self._cut_off)
        seen, cuts = await away.keep(victim, seconds)
        return [seen, *[await self._said_by_chaos_mesh(cut.reference) for cut in cuts]]

    async def seen(self, component: Component, names: Sequence[str]) -> Before:
        """See `Hands.seen`."""
        return {process.name: process.id for process in await self.processes(component) if process.name in names}

    async def away(self, component: Component, before: Before) -> list[Observation]:
        """See `Hands.away`."""
        now = {process.name: process.id for process in await self.processes(component)}
        return [
            Observation(f"pod {name}", was, now.get(name) or "no process", now.get(name) != was)
            for name, was in before.items()
        ]

    async def heard(self, component: Component) -> Before:
        """See `Hands.heard`."""
        del component  # only NATS is asked by addresses of its own
        return await self._preconditions.sound(self._preconditions.heard)

    async def shut(self, component: Component) -> None:
        """See `Hands.shut`."""
        # Named one by one: a Job's pod that has ended has no network left to cut, and would never count as injected.
        await self._cut(self._selector(component=component), self._selector(In(COMPONENT, list(SPEAKING))))

    async def silent(self, component: Component, before: Before) -> list[Observation]:
        """See `Hands.silent`."""
        del component
        tried = await asyncio.gather(*(cluster_probes.connect(address) for address in before))
        return [
            Observation(f"connection to {address}", was, connection.said, connection.cut)
            for (address, was), connection in zip(before.items(), tried, strict=True)
        ]

    async def back(self, component: Component, hit: Sequence[str]) -> list[Observation]:
        """See `Hands.back`: of a ledger, all pods."""
        observations = await self._whole_again(hit)
        if component is Component.NATS:
            for address in self._place.nats:
                tried = await cluster_probes.connect(address)
                observations.append(Observation(f"connection to {address}", "cut off", tried.said, tried.made))
        return observations

    def way_together(self, sides: Sides) -> WayBack:
        """See `Hands.way_together`."""
        del sides
        return self.way_back(())

    async def can_cut(self, sides: Sides) -> None:
        """See `Hands.can_cut`."""
        await self._preconditions.two_sides(sides)

    async def connected(self, sides: Sides) -> Before:
        """See `Hands.connected`."""
        return await self._preconditions.sound(lambda: self._preconditions.connected(sides))

    async def cut(self, sides: Sides) -> list[str]:
        """See `Hands.cut`."""
        regions = [list(self._place.sides[side]) for side in (sides.majority, sides.minority)]
        one, other = (self._selector(In(REGION, names)) for names in regions)
        await self._cut(one, other)
        return [name for names in regions for name in names]

    async def apart(self, sides: Sides, before: Before) -> list[Observation]:
        """See `Hands.apart`: the majority misses a node and works, the minority cannot."""
        larger, smaller = await asyncio.gather(
            *(cluster_probes.database(self._place.target, side) for side in (sides.majority, sides.minority))
        )
        return [
            Observation(
                f"database seen from {sides.majority}", before[sides.majority], larger.said, larger.works_without_some
            ),
            Observation(f"database seen from {sides.minority}", before[sides.minority], smaller.said, smaller.down),
        ]

    async def together(self, sides: Sides, hit: Sequence[str]) -> list[Observation]:
        """See `Hands.together`."""
        del sides
        return await self._whole_again(hit)

    async def said(self, injection: Injection) -> list[Observation]:
        """See `Hands.said`."""
        return [await self._said_by_chaos_mesh(experiment) for experiment in injection.experiments]

    async def mend(self, *, cut: bool) -> None:
        """See `Hands.mend`: all of the run's experiments, also those whose creation was interrupted."""
        del cut
        try:
            await self._remove(self._labels)
        except KubernetesError as error:
            labels = ",".join(f"{key}={value}" for key, value in self._labels.items())
            raise CleanupFailed(
                f"Kubernetes did not answer: {error}",
                next_step=f"kubectl -n {self._place.namespace} delete podchaos,networkchaos -l {labels}",
            ) from error

    async def _whole_again(self, hit: Sequence[str]) -> list[Observation]:
        left = await self._experiments(self._labels)
        pods = await self._kubernetes.pods(self._place.labels())
        serving = [pod for pod in pods if pod.labels.get(COMPONENT) in COMPONENTS.values()]
        waiting = [pod.name for pod in serving if not pod.ready]
        state = f"{', '.join(waiting)} not ready" if waiting else f"{len(serving)} ready"
        return [
            Observation("experiments of this run", f"{len(self._made)} made", f"{len(left)} left", not left),
            Observation("pods of the ledger", f"hit: {', '.join(hit)}", state, bool(serving and not waiting)),
        ]

    async def _cut_off(self, pod: PodState) -> Experiment:
        """Cut one pod from all that work on the ledger, this run included."""
        alone = Selector([self._place.namespace], pods={self._place.namespace: [pod.name]})
        return await self._cut(alone, self._selector(In(COMPONENT, [COMPONENTS[Component.COCKROACH], *SPEAKING])))

    async def _cut(self, one: Selector, other: Selector) -> Experiment:
        seconds = float(self._place.target.details.get("longest", 120)) + experiments.DEAD_MAN
        return await self._make(experiments.partition(self._metadata("cut"), one, other, seconds))

    async def _make(self, wanted: Wanted) -> Experiment:
        try:
            made = await self._kubernetes.create(wanted)
        except KubernetesError as error:
            raise InjectionError(f"Chaos Mesh did not take the experiment: {error}") from error
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
        """Runs' experiments with these labels: one without a run's label is somebody else's, and never deleted."""
        found = [it for kind in MADE for it in await self._kubernetes.experiments(kind, labels)]
        return [it for it in found if foreign.is_a_runs(it)]

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
