"""Experiments of Chaos Mesh: how they are written, and what they say about themselves. Pure.

Facts relied on (Chaos Mesh 2.x, its API types and controllers): specs cannot be changed, so one object a fault;
`duration` ends a fault even when nobody is left to end it; with no pod selected both `AllInjected` and `AllRecovered`
turn true, so a record of at least one pod is wanted too; `direction` has to say `both`; pod-kill never ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]
API_VERSION = "chaos-mesh.org/v1alpha1"
LEDGER = "ledger.chronicle.dev/ledger"
RUN = "ledger.chronicle.dev/run"
DEAD_MAN = 120
"""Seconds that a fault outlasts its window by, if the run that began it is no more."""


def pod_kill(name: str, namespace: str, labels: Mapping[str, str], pods: Sequence[str]) -> Manifest:
    """Kill these pods at once, without grace."""
    spec = {
        "action": "pod-kill",
        "mode": "all",
        "gracePeriod": 0,
        "selector": {"namespaces": [namespace], "pods": {namespace: list(pods)}},
    }
    return _experiment("PodChaos", name, namespace, labels, spec)


def partition(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    seconds: float,
) -> Manifest:
    """Cut the pods of one selector from those of the other, both ways; ends by itself after `seconds`."""
    spec = {
        "action": "partition",
        "mode": "all",
        "direction": "both",
        "duration": f"{int(seconds)}s",
        "selector": {"namespaces": [namespace], **one},
        "target": {"mode": "all", "selector": {"namespaces": [namespace], **other}},
    }
    return _experiment("NetworkChaos", name, namespace, labels, spec)


def owned(experiment: Manifest, owner: Mapping[str, str] | None) -> Manifest:
    """The experiment as a child of `owner` (an object reference with its uid): gone with it, whoever is left to heal.

    It does not block the owner's deletion, which would need a right on the owner that a run does not have.
    """
    if not owner:
        return experiment
    return {**experiment, "metadata": {**experiment["metadata"], "ownerReferences": [dict(owner)]}}


def injected(experiment: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether Chaos Mesh says that the fault is at work on at least one pod, and what it says."""
    conditions = _conditions(experiment)
    records = ((experiment.get("status") or {}).get("experiment") or {}).get("containerRecords") or []
    hit = [it for it in records if it.get("phase") == "Injected"]
    said = f"Selected={conditions.get('Selected')}, AllInjected={conditions.get('AllInjected')}, {len(hit)} pods hit"
    return conditions.get("Selected") == "True" and conditions.get("AllInjected") == "True" and bool(hit), said


def release_command(experiment: Mapping[str, Any]) -> str:
    """What a person runs when Chaos Mesh does not let go of an experiment."""
    meta = experiment["metadata"]
    return (
        f"kubectl -n {meta['namespace']} annotate {str(experiment['kind']).lower()} {meta['name']}"
        " chaos-mesh.chaos-mesh.org/cleanFinalizer=forced"
    )


def reference(experiment: Mapping[str, Any]) -> dict[str, str]:
    """What a journal says of an experiment."""
    meta = experiment["metadata"]
    return {"kind": str(experiment["kind"]), "name": str(meta["name"]), "uid": str(meta.get("uid", ""))}


def _conditions(experiment: Mapping[str, Any]) -> dict[str, str]:
    found = (experiment.get("status") or {}).get("conditions") or []
    return {str(it.get("type")): str(it.get("status")) for it in found}


def _experiment(kind: str, name: str, namespace: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": dict(spec),
    }
