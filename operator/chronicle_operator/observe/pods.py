"""What a pod or a StatefulSet says about itself."""

from __future__ import annotations

import json
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
    """Return why a pod cannot run, with its name, if it says so."""
    found = cause(pod)
    return f"{name(pod)}: {found}" if found else None


def cause(pod: Object) -> str | None:
    """Return why a pod cannot run, in Kubernetes' own word and sentence, or its process's last words; None if unknown.

    A container that was restarted and runs again, in a pod that is not ready, counts too: it ends every now and then.
    """
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        failed = bool(ended) and ended.get("exitCode") != 0
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            # What Kubernetes says of a crash loop is how long it waits; why it crashes the container has said.
            words = _end(ended) if failed else str(waiting.get("message") or "")
            return f"{waiting['reason']}, {words}" if words else str(waiting["reason"])
        if failed and not container.get("ready"):
            times = int(container.get("restartCount") or 0)
            return ({0: "", 1: "restarted once, "}.get(times, f"restarted {times} times, ")) + _end(ended)
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason')}, {condition.get('message')}"
    return None


def _end(ended: Object) -> str:
    """Return how a container ended: its last words, as the termination message has them."""
    how = f"exit {ended.get('exitCode')}"
    if ended.get("reason") not in (None, "Error", "Completed"):
        how += f" ({ended['reason']})"
    words = last_words(str(ended.get("message") or ""))
    return f"{how}: {words}" if words else how


def last_words(log: str) -> str:
    """Return the line of a log's end that says most: the last one that speaks of an error, else the last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    return _in_words(telling[-1]) if telling else ""


def _in_words(line: str) -> str:
    """Return what a line of a JSON log says, any other line as it is."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(entry, dict):
        return line
    said = [str(entry[key]) for key in ("event", "message", "msg", "error", "exception") if entry.get(key)]
    return ": ".join(said) or line
