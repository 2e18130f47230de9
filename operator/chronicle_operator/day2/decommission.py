"""Take CockroachDB nodes away without losing a replica: drain the data off first, then the pod, then its volume.

The steps for one node, always the highest ordinal of a StatefulSet that has more pods than wanted:

1. a Job runs `cockroach node decommission` for that node's ID and ends when no replica is left on it;
2. the StatefulSet loses the pod;
3. the pod's volume claim is deleted, `deletionPolicy` notwithstanding: it holds nothing any more, and a later node of
   the same name would start from it and be refused by the cluster as decommissioned;
4. the Job is deleted: the operation is over.

The Job is the memory. Whoever restarts the operator at any point finds the Job, the pod and the claim as they are and
goes on from there. As long as a Job exists, nothing else is begun, not even the way back up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chronicle_contract.labels import DOMAIN
from chronicle_operator.observe.jobs import has_failed, is_complete
from chronicle_operator.observe.pods import Object, is_ready, name, of_set, ordinal

OPERATION = f"{DOMAIN}/operation"
POD = f"{DOMAIN}/pod"
SMALLEST_CLUSTER = 3
VOLUME = "data"
"""The volume claim template's name."""


@dataclass(frozen=True)
class Plan:
    """How many pods each StatefulSet shall have now, what to do about the operation, and a sentence on it."""

    replicas: Mapping[str, int]
    action: Begin | DeleteClaim | Finish | None = None
    message: str = ""
    pod: str | None = None

    @property
    def busy(self) -> bool:
        """Whether an operation is in progress or due."""
        return bool(self.message)


@dataclass(frozen=True)
class Begin:
    """Create the Job for this pod."""

    pod: str


@dataclass(frozen=True)
class DeleteClaim:
    """Delete this volume claim of a node that is gone."""

    claim: str
    uid: str | None = None


@dataclass(frozen=True)
class Finish:
    """Delete the operation's Job."""

    job: str
    uid: str


def plan(
    wanted: Mapping[str, int],
    sets: Sequence[Object],
    pods: Sequence[Object],
    claims: Sequence[Object],
    jobs: Sequence[Object],
    *,
    calm: bool,
    replicas: Mapping[str, int] | None = None,
) -> Plan:
    """Return the next step from `wanted` (StatefulSet name → pods) and what is there.

    `calm`: all pods run the right template and every range has all its replicas; a decommissioning begins only then.
    `replicas`: how many of them the node in each pod holds, as far as nodes say so; told as progress.
    """
    live = {name(it): int(it["spec"].get("replicas", 1)) for it in sets}
    # A node is what has a volume: one that sleeps (hibernation, a new installation) still holds its replicas.
    live = {key: max(count, _claimed(key, claims)) for key, count in live.items()}
    held = {key: max(count, live.get(key, 0)) for key, count in wanted.items()}
    job = next((it for it in jobs if _annotation(it, OPERATION) == "decommission"), None)
    if job is not None:
        return _continue(job, held, pods, claims, replicas)
    surplus = [it for it in sets if name(it) in wanted and live[name(it)] > wanted[name(it)]]
    if not surplus:
        return Plan(dict(wanted))
    target = max(surplus, key=name)
    pod = f"{name(target)}-{live[name(target)] - 1}"
    waiting = f"{pod} is to be decommissioned"
    if sum(live.values()) <= SMALLEST_CLUSTER:
        return Plan(
            held, pod=pod, message=f"{waiting}, but {SMALLEST_CLUSTER} nodes must stay: add nodes elsewhere first"
        )
    found = next((it for it in of_set(pods, target) if name(it) == pod), None)
    if found is None or not is_ready(found):
        return Plan(held, pod=pod, message=f"{waiting} once it is ready (its data is moved by the node itself)")
    if not calm:
        return Plan(held, pod=pod, message=f"{waiting} once every range has all its replicas")
    return Plan(held, Begin(pod), _moving(pod, replicas), pod)


def _continue(
    job: Object,
    held: dict[str, int],
    pods: Sequence[Object],
    claims: Sequence[Object],
    replicas: Mapping[str, int] | None,
) -> Plan:
    pod = _annotation(job, POD)
    owner, place = pod.rpartition("-")[0], ordinal(pod)
    if has_failed(job):
        return Plan(
            held,
            pod=pod,
            message=f"decommissioning {pod} failed: read the log of Job {name(job)}, then delete the Job to try again",
        )
    if not is_complete(job):
        return Plan(held, pod=pod, message=_moving(pod, replicas))
    held[owner] = place
    if any(name(it) == pod for it in pods):
        return Plan(held, pod=pod, message=f"decommissioned {pod}: removing the pod")
    claim = next((it for it in claims if name(it) == f"{VOLUME}-{pod}"), None)
    if claim is not None:
        delete = DeleteClaim(name(claim), claim["metadata"].get("uid"))
        return Plan(held, delete, f"decommissioned {pod}: removing its empty volume", pod)
    return Plan(held, Finish(name(job), str(job["metadata"]["uid"])), f"decommissioned {pod}", pod)


def _moving(pod: str, replicas: Mapping[str, int] | None) -> str:
    left = (replicas or {}).get(pod)
    return f"decommissioning {pod}: moving its replicas to other nodes" + ("" if left is None else f", {left} left")


def _claimed(stateful_set: str, claims: Sequence[Object]) -> int:
    """Return how many pods the volume claims of a StatefulSet belong to, were they to run again."""
    ordinals = [
        ordinal(name(it))
        for it in claims
        if name(it).rpartition("-")[0] == f"{VOLUME}-{stateful_set}" and not it["metadata"].get("deletionTimestamp")
    ]
    return max(ordinals, default=-1) + 1


def _annotation(item: Object, key: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(key, ""))
