"""Replace the pods of a database or a message bus by ones of a new template, one at a time across all regions.

Kubernetes rolls each StatefulSet by itself, so two regions would lose a pod each at the same moment, and it looks at
readiness only, not at whether the data is replicated again. The StatefulSets therefore have `updateStrategy: OnDelete`
and this module says which pod may go next. Nothing is remembered: the pods' revisions are the progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chronicle_operator.observe.pods import (
    Object,
    is_observed,
    is_outdated,
    is_ready,
    name,
    of_set,
    ready_seconds,
    trouble,
)

SETTLE_SECONDS = 15.0
"""How long a replaced database pod has to be Ready before the next one goes: replication figures are sampled every
10 s."""

BUS_SETTLE_SECONDS = 5.0
"""The same of a NATS server, which is Ready only once its streams have caught up: clients find it again meanwhile."""


@dataclass(frozen=True)
class Finished:
    """Every pod has the template it should have."""


@dataclass(frozen=True)
class Waiting:
    """The next pod may not go yet; `message` says for what."""

    message: str


@dataclass(frozen=True)
class Replace:
    """Delete this pod; its StatefulSet makes it anew."""

    pod: str
    uid: str
    message: str


Step = Finished | Waiting | Replace


def next_step(
    sets: Sequence[Object],
    pods: Sequence[Object],
    *,
    whole: bool | None,
    now: datetime,
    settle_seconds: float = SETTLE_SECONDS,
) -> Step:
    """Return what to do next. `whole`: every range or stream has all its replicas; None when nobody could say.

    A pod that is outdated *and* not ready goes first and at once: it serves nobody, and it may be the broken half of a
    rollout that is being taken back.
    """
    if any(not is_observed(it) for it in sets):
        return Waiting("waiting for the StatefulSet controller to see the change")
    members = [(it, pod) for it in sets for pod in of_set(pods, it)]
    outdated = [(it, pod) for it, pod in members if is_outdated(pod, it)]
    if not outdated:
        return Finished()
    progress = f"{len(members) - len(outdated)} of {len(members)} pods replaced"

    leaving = [name(pod) for _, pod in members if pod["metadata"].get("deletionTimestamp")]
    if leaving:
        return Waiting(f"{progress}; {leaving[0]} is stopping")
    missing = sum(int(it["spec"].get("replicas", 1)) - len(of_set(pods, it)) for it in sets)
    if missing > 0:
        return Waiting(f"{progress}; {missing} pod(s) are being created")
    broken = [pod for _, pod in outdated if not is_ready(pod)]
    if broken:
        return _replace(broken[-1], progress)
    unready = [pod for it, pod in members if not is_ready(pod)]
    if unready:
        reason = trouble(unready[0])
        return Waiting(f"{progress}; {name(unready[0])} is not ready yet" + (f": {reason}" if reason else ""))
    fresh = [pod for it, pod in members if not is_outdated(pod, it) and ready_seconds(pod, now) < settle_seconds]
    if fresh:
        return Waiting(f"{progress}; {name(fresh[0])} has just become ready")
    if whole is None:
        return Waiting(f"{progress}; not every node says whether replication is whole")
    if not whole:
        return Waiting(f"{progress}; waiting until every range has all its replicas again")
    return _replace(outdated[-1][1], progress)


def _replace(pod: Object, progress: str) -> Replace:
    return Replace(name(pod), str(pod["metadata"]["uid"]), f"{progress}; replacing {name(pod)}")
