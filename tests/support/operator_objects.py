"""Small Kubernetes objects for the tests of decisions, shaped as the API server hands them out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stateful_set(name: str, replicas: int, *, revision: str = "new", observed: bool = True) -> dict[str, Any]:
    """Return a StatefulSet whose template has `revision`."""
    return {
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", "generation": 2},
        "spec": {"replicas": replicas},
        "status": {"updateRevision": revision, "observedGeneration": 2 if observed else 1},
    }


def pod(
    owner: str,
    ordinal: int,
    *,
    revision: str = "new",
    ready: bool = True,
    ready_for: float = 3600,
    leaving: bool = False,
    waiting: str | None = None,
) -> dict[str, Any]:
    """Return a pod of the StatefulSet `owner`."""
    since = (NOW - timedelta(seconds=ready_for)).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"{owner}-{ordinal}"
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "labels": {"controller-revision-hash": revision},
        "ownerReferences": [{"uid": f"uid-{owner}", "controller": True}],
    }
    if leaving:
        meta["deletionTimestamp"] = since
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "kind": "Pod",
        "metadata": meta,
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}],
            "containerStatuses": [{"name": "main", "state": state}],
        },
    }


def claim(pod_name: str) -> dict[str, Any]:
    """Return the volume claim of a pod."""
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": f"data-{pod_name}", "namespace": "ns"}}


def decommission_job(pod_name: str, *, condition: str | None = None) -> dict[str, Any]:
    """Return the Job that decommissions a pod; `condition` is Complete, Failed or None while it runs."""
    return {
        "kind": "Job",
        "metadata": {
            "name": f"decommission-{pod_name}",
            "uid": f"uid-job-{pod_name}",
            "annotations": {
                "ledger.chronicle.dev/operation": "decommission",
                "ledger.chronicle.dev/pod": pod_name,
            },
        },
        "status": {"conditions": [{"type": condition, "status": "True"}] if condition else []},
    }
