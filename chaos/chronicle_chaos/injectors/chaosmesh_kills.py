"""Pods killed by Chaos Mesh, once or one after the other, and what shows that they were."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from chronicle_chaos.injection import InjectionError, Observation
from chronicle_chaos.injectors.crashing import LATE_SECONDS, moments, not_done
from chronicle_chaos.injectors.experiments import Experiment
from chronicle_chaos.injectors.kubernetes import Kubernetes, KubernetesError, PodState, pod_named

POLL_SECONDS = 0.7
GONE_SECONDS = 15.0
"""How long a killed pod may take until it is another one: the kubelet has to notice."""


@dataclass(frozen=True, slots=True)
class Kills:
    """Kills pods with these labels. `strike` makes one experiment that kills one pod."""

    kubernetes: Kubernetes
    labels: Mapping[str, str]
    strike: Callable[[PodState], Awaitable[Experiment]]

    async def victim(self, rng: Random) -> PodState:
        """One of the pods that are ready. Raises InjectionError, KubernetesError."""
        ready = [it for it in await self.kubernetes.pods(self.labels) if it.ready]
        if not ready:
            raise InjectionError("none of the pods that could be killed is ready")
        return rng.choice(ready)

    async def gone(self, victim: PodState) -> Observation:
        """Whether the pod is another one by now. Raises KubernetesError."""
        now = await pod_named(self.kubernetes, self.labels, victim.name)
        before = f"uid {victim.uid}, started {victim.started}"
        if now is None:
            return Observation(f"pod {victim.name}", before, "gone", shows_fault=True)
        return Observation(f"pod {victim.name}", before, f"uid {now.uid}, started {now.started}", now.uid != victim.uid)

    async def one_by_one(self, times: int, rng: Random, seconds: float) -> list[Observation]:
        """Kill one pod at a time at random moments of the window, `times` in all with the one that was killed before.

        Each waits until another one is left that answers: the scenario is about the others taking over. A kill that
        could not be made some time after the window either is an observation that shows no fault.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        found: list[Observation] = []
        for number, moment in enumerate(moments(rng, times - 1, seconds), 2):
            await asyncio.sleep(max(0.0, began + moment - loop.time()))
            victim, why = await self._next(rng, until=began + seconds + LATE_SECONDS)
            if victim is None:
                return [*found, *not_done(number, times, f"none was killed: {why}")]
            try:
                await self.strike(victim)
            except KubernetesError as error:
                return [*found, *not_done(number, times, f"none was killed: {error}")]
            found.append(await self._until_gone(victim))
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        return found

    async def _next(self, rng: Random, until: float) -> tuple[PodState | None, str]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                pods = await self.kubernetes.pods(self.labels)
                ready = [it for it in pods if it.ready]
                if len(ready) >= 2:
                    return rng.choice(ready), ""
                why = f"{len(ready)} of {len(pods)} pods were ready, and one has to be left"
            except KubernetesError as error:
                why = str(error)
            if loop.time() >= until:
                return None, why
            await asyncio.sleep(POLL_SECONDS)

    async def _until_gone(self, victim: PodState) -> Observation:
        loop = asyncio.get_running_loop()
        until = loop.time() + GONE_SECONDS
        while True:
            try:
                seen = await self.gone(victim)
            except KubernetesError as error:
                seen = Observation(f"pod {victim.name}", f"uid {victim.uid}", str(error), shows_fault=False)
            if seen.shows_fault or loop.time() >= until:
                return seen
            await asyncio.sleep(POLL_SECONDS)
