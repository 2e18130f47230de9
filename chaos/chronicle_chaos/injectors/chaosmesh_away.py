"""A killed pod that stays away: its successor is cut off from the rest of the ledger as soon as it runs.

Kubernetes replaces a killed pod within seconds. To kill each successor too makes no dead node but one that flaps: every
incarnation lives for a second or two, long enough for CockroachDB to take it for alive and to move leases to it, and
the ranges of those leases stand still for the whole window (seen on kind with 20.1: 42 kills in 40 s, a third of the
requests unanswered). A machine that died does not do that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from chronicle_chaos.injection import Observation
from chronicle_chaos.injectors.experiments import Experiment
from chronicle_chaos.injectors.kubernetes import Kubernetes, KubernetesError, PodState

POLL_SECONDS = 0.3

READY_SHARE = 0.2
"""The largest share of looks at which a pod that is kept away may be Ready: one that starts fast is, for a moment."""

LEAST_LOOKS = 5
"""With fewer looks than these nobody can say that a pod was away."""


@dataclass(frozen=True, slots=True)
class Away:
    """Keeps successors of a killed pod away. `cut` makes the experiment that cuts one pod off from all others."""

    kubernetes: Kubernetes
    labels: Mapping[str, str]
    cut: Callable[[PodState], Awaitable[Experiment]]

    async def keep(self, victim: PodState, seconds: float) -> tuple[Observation, list[Experiment]]:
        """Keep the victim's successors away for the window. Returns what was seen of them, and the cuts.

        What Kubernetes does not answer is no look, and is tried again. Raises KubernetesError where it refuses.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        looks, ready, seen, ready_now = 0, 0, victim.uid, False
        cuts: list[Experiment] = []
        after = "no successor ran"
        while loop.time() < began + seconds:
            try:
                now = await self._now(victim.name)
                ready_now = now is not None and now.ready
                looks, ready = looks + 1, ready + ready_now
                if now is not None and now.running and now.uid != seen:
                    cuts.append(await self.cut(now))
                    seen, after = now.uid, f"uid {now.uid} cut off after {loop.time() - began:.1f} s"
            except KubernetesError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(POLL_SECONDS)
        said = f"{after}; ready at {ready} of {looks} looks in {seconds:g} s"
        away = looks >= LEAST_LOOKS and ready <= looks * READY_SHARE and not ready_now
        return Observation(f"pod {victim.name}", "ready", said, away), cuts

    async def _now(self, name: str) -> PodState | None:
        return next((it for it in await self.kubernetes.pods(self.labels) if it.name == name), None)
