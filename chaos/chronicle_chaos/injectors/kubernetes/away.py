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

from chronicle_chaos.faults.hands import Process
from chronicle_chaos.injectors.injection import Observation
from chronicle_chaos.injectors.kubernetes.client import Kubernetes, KubernetesError, PodState, pod_named
from chronicle_chaos.injectors.kubernetes.experiments import Experiment
from chronicle_chaos.injectors.kubernetes.ledger_pods import process_of

POLL_SECONDS = 0.3

NOTICED_SECONDS = 24.0
"""For how long a pod may still be Ready after its cut was asked for: Chaos Mesh goes from pod to pod, in any order (up
to 10 s for 14 pods on two cores), its node takes itself for alive until its last heartbeat has run out (9 s on
CockroachDB 20.1), and readiness is lost at the second failed probe (6 s). Seen on kind: Ready for 22 s."""

LEAST_LOOKS = 5
"""With fewer looks than these, outside of that time, nobody can say that a pod was away."""


@dataclass(frozen=True, slots=True)
class Away:
    """Keeps successors of a killed pod away. `cut` makes the experiment that cuts one pod off from all others."""

    kubernetes: Kubernetes
    labels: Mapping[str, str]
    cut: Callable[[PodState], Awaitable[Experiment]]

    async def keep(self, victim: Process, seconds: float) -> tuple[Observation, list[Experiment]]:
        """Keep the victim's successors away for the window. Returns what was seen of them, and the cuts.

        What Kubernetes does not answer is no look, and is tried again. Raises KubernetesError where it refuses.
        """
        loop = asyncio.get_running_loop()
        began = noticed = loop.time()
        seen, after, looks, ready = victim.id, "no successor ran", 0, 0
        cuts: list[Experiment] = []
        while loop.time() < began + seconds:
            try:
                now = await pod_named(self.kubernetes, self.labels, victim.name)
                if now is not None and now.running and process_of(now).id != seen:
                    cuts.append(await self.cut(now))
                    seen, after = process_of(now).id, f"uid {now.uid} cut off after {loop.time() - began:.1f} s"
                    noticed = loop.time() + NOTICED_SECONDS
                elif loop.time() >= noticed:
                    looks += 1
                    ready += now is not None and now.ready
            except KubernetesError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(POLL_SECONDS)
        said = f"{after}; ready at {ready} of {looks} looks, the last {began + seconds - noticed:.0f} s of {seconds:g}"
        return Observation(f"pod {victim.name}", "ready", said, looks >= LEAST_LOOKS and not ready), cuts
