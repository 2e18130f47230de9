"""What is going on with the data nodes, and the one next thing to do about it: the plans of this package put in order.

One operation at a time for a ledger: a decommissioning that was begun is finished first; then new templates are rolled
out; only then a node is taken away. Adding nodes waits for a decommissioning alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chronicle_contract.labels import COMPONENT
from chronicle_operator.day2 import decommission, draining, rollout
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import name

DATABASE = "cockroachdb"
BUS = "nats"


@dataclass(frozen=True)
class Operation:
    """An operation in progress, for the status. `component` is the field of the status it belongs to."""

    component: str
    type: str
    message: str
    pod: str | None = None


Action = decommission.Begin | decommission.DeleteClaim | decommission.Finish | rollout.Replace


@dataclass(frozen=True)
class Agenda:
    """`replicas` by StatefulSet replaces what the builders say; `actions` are done after everything was applied."""

    replicas: Mapping[str, int] = field(default_factory=dict)
    actions: Sequence[Action] = ()
    operations: Sequence[Operation] = ()


def agenda(manifests: Sequence[Mapping[str, Any]], seen: Observation, now: datetime, *, hibernated: bool) -> Agenda:
    """Return what to do next, from the wanted manifests and what is there. A ledger that sleeps is left to sleep."""
    if hibernated:
        return Agenda()
    sets = seen.of("StatefulSet", DATABASE)
    wanted = {
        name(it): int(it["spec"].get("replicas", 1))
        for it in manifests
        if it["kind"] == "StatefulSet" and _component(it) == DATABASE
    }
    whole = seen.nodes.whole if seen.nodes else None
    pods = seen.pods_of(DATABASE)
    roll = rollout.next_step(sets, pods, whole=whole, now=now)
    # A NATS server is Ready only when its streams have caught up (its startup probe asks /healthz for that), so
    # readiness, which the rollout looks at itself, is enough.
    bus = rollout.next_step(
        seen.of("StatefulSet", BUS),
        seen.pods_of(BUS),
        whole=True,
        now=now,
        settle_seconds=rollout.BUS_SETTLE_SECONDS,
    )
    jobs = [it for it in seen.children if it["kind"] == "Job"]
    calm = bool(whole) and isinstance(roll, rollout.Finished) and isinstance(bus, rollout.Finished)
    replicas = seen.nodes.replicas if seen.nodes else None
    plan = decommission.plan(wanted, sets, pods, seen.claims, jobs, calm=calm, replicas=replicas)

    actions: list[Action] = [plan.action] if plan.action else []
    operations = [Operation(DATABASE, "Decommission", plan.message, plan.pod)] if plan.busy else []
    # The bus waits for the database, and both for a decommissioning: two halves missing at once is how data is lost.
    busy = _job_exists(jobs)
    for component, step in ((DATABASE, roll), (BUS, bus)):
        if isinstance(step, rollout.Finished):
            continue
        message, pod = step.message, None
        if isinstance(step, rollout.Replace):
            if busy:
                message = "waits for the operation in progress"
            else:
                actions.append(step)
                pod = step.pod
        operations.append(Operation(component, "RollingUpdate", message, pod))
        busy = True
    return Agenda(plan.replicas, tuple(actions), tuple(operations))


def with_drains(todo: Agenda, seen: Observation, drains: draining.Drains, now: datetime) -> Agenda:
    """Return the agenda with the drains that do not get on: they come first, since all else waits for them."""
    stuck = draining.stuck(seen.pods_of(DATABASE), drains, now)
    told = tuple(Operation(DATABASE, "Drain", it.message, it.pod) for it in stuck)
    return replace(todo, operations=(*told, *todo.operations))


def hold(manifests: Sequence[dict[str, Any]], replicas: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the manifests with the StatefulSets' replicas as the agenda has them."""
    return [
        {**it, "spec": {**it["spec"], "replicas": replicas[name(it)]}}
        if it["kind"] == "StatefulSet" and name(it) in replicas
        else it
        for it in manifests
    ]


def _job_exists(jobs: Sequence[Mapping[str, Any]]) -> bool:
    return any((it["metadata"].get("annotations") or {}).get(decommission.OPERATION) for it in jobs)


def _component(item: Mapping[str, Any]) -> str:
    return str((item["metadata"].get("labels") or {}).get(COMPONENT, ""))
