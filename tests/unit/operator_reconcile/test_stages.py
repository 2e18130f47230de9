"""Nobody is started who could only crash, and what runs is never taken away for want of something else."""

from __future__ import annotations

from typing import Any

from chronicle_operator.observe.observe import Observation
from chronicle_operator.reconcile import stages

LEDGER: dict[str, Any] = {"metadata": {"name": "main", "namespace": "ns", "uid": "L"}, "spec": {}}


def item(kind: str, component: str, *, name: str = "", done: bool = False, image: str = "one") -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True"}] if done else []
    labels = {"app.kubernetes.io/component": component}
    return {
        "kind": kind,
        "metadata": {"name": name or component, "namespace": "ns", "labels": labels},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"conditions": conditions},
    }


WANTED = [
    item("StatefulSet", "cockroachdb"),
    item("Service", "api"),
    item("Job", stages.INIT),
    item("Job", stages.MIGRATION),
    item("Deployment", "api"),
]
INITIALIZED = item("Job", stages.INIT, done=True)


def names(*children: dict[str, Any]) -> list[str]:
    seen = Observation(LEDGER, children)
    return [f"{it['kind']}/{it['metadata']['name']}" for it in stages.due(WANTED, seen)]


def test_databases_services_and_initialization_come_at_once() -> None:
    assert names() == ["StatefulSet/cockroachdb", "Service/api", f"Job/{stages.INIT}"]


def test_the_schema_comes_after_the_initialization_and_the_api_after_the_schema() -> None:
    assert f"Job/{stages.MIGRATION}" in names(INITIALIZED)
    assert "Deployment/api" not in names(INITIALIZED)
    assert "Deployment/api" in names(INITIALIZED, item("Job", stages.MIGRATION, done=True))


def test_an_api_that_exists_is_kept_though_its_schema_job_has_gone() -> None:
    assert "Deployment/api" in names(item("Deployment", "api"))


def test_a_new_image_waits_for_its_own_schema_job() -> None:
    older = item("Deployment", "api", image="zero")
    of_the_old_image = item("Job", stages.MIGRATION, name="migration-of-zero", done=True)
    assert "Deployment/api" not in names(INITIALIZED, of_the_old_image, older)
    assert "Deployment/api" in names(INITIALIZED, item("Job", stages.MIGRATION, done=True), older)
