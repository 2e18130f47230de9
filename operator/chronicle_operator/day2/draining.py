"""Database nodes that are stopping: whether they hand over their leases, or only wait for the end of their grace.

CockroachDB has no limit of its own for a drain: it goes on until another node has taken each lease, and leads each Raft
group. Seen with 20.1, up to the end of the pod's grace: of three nodes that stop together the first is done in half a
second, and the two that then lack a quorum never are. A node that stops just after another one came back keeps leading
a few groups whose leases have long gone.

So the grace is what bounds a drain, and the default is a minute. A node that is killed in a drain is a node that lost
its power: what was acknowledged is on the other nodes' disks and on its own, and leases that it still holds are taken
from it some seconds later. Nothing else ends a drain early: the kubelet does not look at a grace that is made shorter
while it waits for the container (Kubernetes 1.34), and to force the pod out of the API would let a second process start
beside the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chronicle_operator.observe.nodes import Nodes
from chronicle_operator.observe.pods import Object, is_ready, name

PATIENCE_SECONDS = 20.0
"""How long a drain may hand over nothing before it is told of: a drain that gets on takes 2 to 5 s, with 20.1."""


@dataclass(frozen=True)
class Drain:
    """How far a drain had got when it last got on. `leases` is None as long as the node has not said."""

    leases: int | None
    since: datetime


Drains = Mapping[str, Drain]
"""By the uid of the pod. Of one operator's process: to lose it is to be patient once more."""


@dataclass(frozen=True)
class Stuck:
    """A drain that does not get on."""

    pod: str
    message: str


def look(pods: Sequence[Object], nodes: Nodes | None, before: Drains, now: datetime) -> Drains:
    """Return how far each stopping node has got."""
    leases = nodes.leases if nodes else {}
    return {_uid(pod): _progress(before.get(_uid(pod)), leases.get(name(pod)), now) for pod in _stopping(pods)}


def stuck(pods: Sequence[Object], drains: Drains, now: datetime) -> list[Stuck]:
    """Return the drains that do not get on. `pods`: all of the database."""
    return [
        Stuck(name(pod), _message(pod, pods, drains[_uid(pod)], now))
        for pod in _stopping(pods)
        if _uid(pod) in drains and _seconds(drains[_uid(pod)], now) >= PATIENCE_SECONDS
    ]


def _message(pod: Object, pods: Sequence[Object], drain: Drain, now: datetime) -> str:
    left = {None: "its leases", 0: "the Raft groups that it leads"}.get(drain.leases, f"the {drain.leases} leases left")
    said = f"{name(pod)} is stopping and has handed over none of {left} for {_seconds(drain, now):.0f} s"
    absent = [name(it) for it in pods if it is not pod and not is_ready(it)]
    if 2 * len(_stopping(pods)) > len(pods):
        said += ", since more than half of the nodes are stopping"
    elif absent:
        said += f", {absent[0]} is not ready"
    return f"{said}; it is killed when its grace ends at {pod['metadata']['deletionTimestamp']}, which loses nothing"


def _progress(before: Drain | None, leases: int | None, now: datetime) -> Drain:
    if before is None:
        return Drain(leases, now)
    if leases is not None and (before.leases is None or leases < before.leases):
        return Drain(leases, now)
    return before


def _stopping(pods: Sequence[Object]) -> list[Object]:
    return [it for it in pods if it["metadata"].get("deletionTimestamp")]


def _seconds(drain: Drain, now: datetime) -> float:
    return (now - drain.since).total_seconds()


def _uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])
