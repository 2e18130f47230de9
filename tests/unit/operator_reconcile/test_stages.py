"""Nobody is started who could only crash, and what runs is never taken away for want of something else."""

from __future__ import annotations

from typing import Any

from chronicle_operator import stages
from chronicle_operator.observe import Observation

LEDGER: dict[str, Any] = {"metadata": {"name": "main", "namespace": "ns", "uid": "L"}, "spec": {}}


def item(kind: str, component: str, *, done: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True"}] if done else []
    return {
        "kind": kind,
        "metadata": {"name": component, "namespace": "ns", "labels": {"app.kubernetes.io/component": component}},
        "spec": {},
        "status": {"conditions": conditions},
    }


WANTED = [
    item("StatefulSet", "cockroachdb"),
    item("Service", "api"),
    item("Job", stages.INIT),
    item("Job", stages.MIGRATE),
    item("Deployment", "api"),
]


def names(*children: dict[str, Any]) -> list[str]:
    seen = Observation(LEDGER, children)
    return [f"{it['kind']}/{it['metadata']['name']}" for it in stages.due(WANTED, seen)]


def test_databases_services_and_initialization_come_at_once() -> None:
    assert names() == ["StatefulSet/cockroachdb", "Service/api", f"Job/{stages.INIT}"]


def test_the_schema_comes_after_the_initialization_and_the_api_after_the_schema() -> None:
    initialized = item("Job", stages.INIT, done=True)
    assert f"Job/{stages.MIGRATE}" in names(initialized)
    assert "Deployment/api" not in names(initialized)
    assert "Deployment/api" in names(initialized, item("Job", stages.MIGRATE, done=True))


def test_an_api_that_exists_is_kept_though_its_schema_job_has_gone() -> None:
    assert "Deployment/api" in names(item("Deployment", "api"))
