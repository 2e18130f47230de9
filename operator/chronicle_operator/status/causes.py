"""Why something is not there yet, in one sentence for each cause, with the number of pods that it stops. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chronicle_contract.labels import COMPONENT
from chronicle_operator.observe.observe import Observation, labels
from chronicle_operator.observe.pods import Object, cause, is_ready, name
from chronicle_operator.observe.refusals import is_pending
from chronicle_operator.status.conditions import shorten

LIMIT = 300
"""The longest message with causes: a person reads it in `kubectl describe`."""

PLACEHOLDER = "…"


def with_causes(message: str, seen: Observation, components: Sequence[str]) -> str:
    """Return the message with what keeps these components' pods from running, or whom it waits for."""
    if known := causes(seen, components):
        return shorten(f"{message}: {'; '.join(known)}", LIMIT)
    waiting = [name(pod) for pod in _pods(seen, components) if not is_ready(pod)]
    return f"{message}: waiting for {', '.join(waiting[:3])}" if waiting else message


def causes(seen: Observation, components: Sequence[str]) -> list[str]:
    """Return what keeps these components' pods from running, a sentence for each cause, the first one first."""
    pods = _pods(seen, components)
    said = ((name(pod), cause(pod)) for pod in pods if not is_ready(pod))
    return [*_refused(seen, components), *_grouped("pods", len(pods), said)]


def _pods(seen: Observation, components: Sequence[str]) -> list[Object]:
    return [pod for component in components for pod in seen.pods_of(component) if not _is_done(pod)]


def _is_done(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Succeeded"


def _refused(seen: Observation, components: Sequence[str]) -> list[str]:
    """Return what Kubernetes' controllers could not make: that comes first, since no pod can tell of it."""
    claims = [it for it in seen.claims if labels(it).get(COMPONENT) in components]
    owners = [it for kind in ("StatefulSet", "Job", "Deployment") for component in components
              for it in seen.of(kind, component)]  # fmt: skip
    return [
        *_grouped("volume claims", len(claims), ((name(it), seen.refused.get(_uid(it))) for it in claims
                                                 if is_pending(it))),
        *_grouped("workloads", len(owners), ((f"{it['kind']} {name(it)}", _failure(it, seen)) for it in owners)),
    ]  # fmt: skip


def _failure(owner: Object, seen: Observation) -> str | None:
    """Return why no pod is made for a workload. A Deployment says it itself; of the others Events do."""
    conditions = (owner.get("status") or {}).get("conditions") or ()
    own = (it.get("message") for it in conditions if it.get("type") == "ReplicaFailure" and it.get("status") == "True")
    return next((str(it) for it in own if it), None) or seen.refused.get(_uid(owner))


def _grouped(what: str, total: int, said: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return one sentence for each cause. The names in the words of Kubernetes make no other cause."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for subject, text in said:
        if text:
            groups.setdefault(text.replace(subject, PLACEHOLDER), []).append((subject, text))
    return [
        f"{found[0][0]}: {found[0][1]}" if len(found) == 1 else f"{len(found)} of {total} {what}: {found[0][1]}"
        for found in groups.values()
    ]


def _uid(item: Any) -> str:
    return str(item["metadata"].get("uid"))
