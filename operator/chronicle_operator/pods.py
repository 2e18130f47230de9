"""What a pod or a StatefulSet says about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]

REVISION = "controller-revision-hash"


def name(item: Object) -> str:
    """Return the object's name."""
    return str(item["metadata"]["name"])


def ordinal(pod_name: str) -> int:
    """Return the number at the end of a StatefulSet pod's name."""
    return int(pod_name.rpartition("-")[2])


def of_set(pods: Iterable[Object], stateful_set: Object) -> list[Object]:
    """Return the pods that a StatefulSet controls, by ordinal."""
    uid = stateful_set["metadata"]["uid"]
    found = [
        pod for pod in pods if any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]
    return sorted(found, key=lambda pod: ordinal(name(pod)))


def is_ready(pod: Object) -> bool:
    """Whether the pod is Ready and is not going away."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def ready_seconds(pod: Object, now: datetime) -> float:
    """Return for how many seconds the pod has been Ready; 0 when it is not."""
    if not is_ready(pod):
        return 0.0
    for condition in pod["status"]["conditions"]:
        if condition.get("type") == "Ready" and condition.get("lastTransitionTime"):
            since = datetime.fromisoformat(str(condition["lastTransitionTime"]))
            return max(0.0, (now - since).total_seconds())
    return 0.0


def is_outdated(pod: Object, stateful_set: Object) -> bool:
    """Whether the pod runs another template than the one the StatefulSet has now."""
    wanted = (stateful_set.get("status") or {}).get("updateRevision")
    return bool(wanted) and (pod["metadata"].get("labels") or {}).get(REVISION) != wanted


def is_observed(controlled: Object) -> bool:
    """Whether the controller of a StatefulSet or Deployment has seen its latest spec."""
    status = controlled.get("status") or {}
    return int(status.get("observedGeneration") or 0) >= int(controlled["metadata"].get("generation") or 0)


def trouble(pod: Object) -> str | None:
    """Return why a pod cannot run, in Kubernetes' own word and sentence, if it says so."""
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{name(pod)}: {waiting['reason']}" + (f" ({waiting['message']})" if waiting.get("message") else "")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{name(pod)}: {condition.get('reason')} ({condition.get('message')})"
    return None
