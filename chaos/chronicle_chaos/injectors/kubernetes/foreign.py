"""Experiments of somebody else: whether they are at work on a ledger's pods, or may be at any moment. Pure.

What they hit decides, not who made them: a verdict on two faults at once says nothing about either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_chaos.injectors.kubernetes.client import PodState
from chronicle_chaos.injectors.kubernetes.experiments import Experiment
from chronicle_contract.labels import LEDGER, RUN


def is_a_runs(experiment: Experiment) -> bool:
    """Whether a run of this project made it."""
    return {LEDGER, RUN} <= experiment.metadata.labels.keys()


def is_over(experiment: Experiment) -> bool:
    """Whether it does nothing any more: paused, at its end, or a kill, which is done once."""
    found = {it.type: it.status for it in experiment.status.conditions or ()}
    records = experiment.status.experiment
    stopped = records is not None and records.desired_phase == "Stop" and found.get("AllRecovered") == "True"
    killed = experiment.spec.get("action") in ("pod-kill", "container-kill") and found.get("AllInjected") == "True"
    return found.get("Paused") == "True" or stopped or killed


def hit(experiment: Experiment, pods: Sequence[PodState], namespace: str) -> list[str]:
    """Return the names of these pods that it hits, or will once its controller has looked."""
    records = experiment.status.experiment
    recorded = {it.id.split("/")[1] for it in (records and records.container_records) or () if it.id.count("/")}
    selectors = [experiment.spec.get("selector"), (experiment.spec.get("target") or {}).get("selector")]
    chosen = [it for it in selectors if isinstance(it, Mapping)]
    return [
        pod.name
        for pod in pods
        if (pod.name in recorded if recorded else any(selects(it, pod, experiment, namespace) for it in chosen))
    ]


def selects(selector: Mapping[str, Any], pod: PodState, experiment: Experiment, namespace: str) -> bool:
    """Whether a selector may match the pod. What is not looked at here (nodes, fields, phases) only narrows it."""
    if namespace not in (selector.get("namespaces") or [experiment.metadata.namespace]):
        return False
    if selector.get("pods"):  # then Chaos Mesh looks at nothing else
        return pod.name in (selector["pods"].get(namespace) or ())
    wanted: Mapping[str, str] = selector.get("labelSelectors") or {}
    expressions: Sequence[Mapping[str, Any]] = selector.get("expressionSelectors") or ()
    return wanted.items() <= pod.labels.items() and all(_holds(it, pod.labels) for it in expressions)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
