"""Whether a run's pod is at work: what its Job and its pods say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chronicle_operator.observe import pods
from chronicle_operator.observe.jobs import has_failed, is_complete

START_SECONDS = 180.0
"""How long a run's pod may take until it runs: an image is pulled, a machine is added. Then the run is given up."""

LATE_SECONDS = 30.0
"""How much longer than its grace a stopping pod is waited for: its machine may be gone, and nobody reports its end."""

JOB_NAME = ("batch.kubernetes.io/job-name", "job-name")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """A run at one moment. `over`: nothing more will come of it. `trouble`: why its pod does not run, if it says so."""

    over: bool
    at_work: bool
    trouble: str = ""


def look(job: Object | None, job_name: str, all_pods: Iterable[Object], now: datetime) -> Work:
    """Return what becomes of the run. A pod that is stopping still heals what is broken: the run is not over before."""
    mine = [it for it in all_pods if any((it["metadata"].get("labels") or {}).get(key) == job_name for key in JOB_NAME)]
    alive = [it for it in mine if _phase(it) in ("Pending", "Running") and not _overdue(it, now)]
    ended = job is None or is_complete(job) or has_failed(job)
    started = any(_phase(it) != "Pending" for it in mine)
    trouble = "; ".join(said for it in alive if _phase(it) == "Pending" and (said := pods.trouble(it)))
    return Work(over=ended and not any(_phase(it) == "Running" for it in alive), at_work=started, trouble=trouble)


def failure(job: Object | None) -> str:
    """Return why the Job ended, in a sentence."""
    if job is None:
        return "the run's Job is gone"
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("reason") == "DeadlineExceeded":
            return f"the run took longer than all of its phases may: {condition.get('message', 'deadline exceeded')}"
    return "the run's pod ended before this scenario was decided"


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def _overdue(pod: Object, now: datetime) -> bool:
    """Whether the pod should have stopped by now. `deletionTimestamp` is the end of its grace."""
    stops = pod["metadata"].get("deletionTimestamp")
    return bool(stops) and (now - datetime.fromisoformat(str(stops))).total_seconds() > LATE_SECONDS
