"""A bad spec is refused in words a person understands, or the status says so; the running ledger is untouched."""

from __future__ import annotations

import json

import pytest

from support.bad_specs import BY_RULE, BY_SCHEMA, BadSpec

from .children import identity
from .machine import CommandFailed, until
from .world import Ledger, World


def name_of(bad: BadSpec) -> str:
    return f"{bad.at}: {bad.words}"


def submit(bad: BadSpec, ledger: Ledger) -> str:
    """Have the API server judge the spec, without storing it should a rule fail to refuse it."""
    judge = ("-n", ledger.namespace, "--dry-run=server")
    if bad.new is None:
        patch = json.dumps({"spec": bad.change})
        return ledger.kubectl("patch", "chronicleledger", ledger.name, *judge, "--type=merge", "-p", patch)
    body = {**ledger.object(), "metadata": {"name": bad.new}, "spec": bad.change}
    return ledger.kubectl("create", *judge, "-f", "-", given=json.dumps(body))


@pytest.mark.parametrize("bad", [*BY_RULE, *BY_SCHEMA], ids=name_of)
def test_a_bad_spec_is_refused_in_words_of_its_own(first: Ledger, bad: BadSpec) -> None:
    """Every rule that there is: a unit test holds the list against the CRD."""
    with pytest.raises(CommandFailed) as refused:
        submit(bad, first)
    assert bad.words in refused.value.said
    assert bad.at in refused.value.said


def test_what_the_cluster_refuses_is_said_in_the_status_and_the_running_ledger_is_untouched(
    first: Ledger,
) -> None:
    """Half of a resource that has no halves passes the CRD and is refused for the Deployment."""
    before = first.data_plane()
    half = {"example.com/device": "500m"}
    with first.trying({"api": {"resources": {"requests": half, "limits": half}}}):
        said = until(
            "the refusal is in the status",
            lambda: found if (found := first.condition("Ready")).get("reason") == "Invalid" else None,
            seconds=30,
        )
        assert said["status"] == "False"
        assert "must be an integer" in said["message"]
        assert first.data_plane() == before
    first.wait_ready(90)


def test_a_paused_ledger_is_not_written_to(first: Ledger, world: World) -> None:
    with first.trying({"reconciliation": "Paused"}):
        until(
            "the pause is acknowledged",
            lambda: first.condition("ReconciliationPaused").get("status") == "True",
            seconds=30,
        )
        service = next(it for it in first.children() if identity(it) == f"Service/{first.name}-api")
        selector = service["spec"]["selector"]
        world.kubectl.merge(
            "service", service["metadata"]["name"], first.namespace, {"metadata": {"labels": {"by": "hand"}}}
        )
        world.kubectl("-n", first.namespace, "delete", "poddisruptionbudget", "--all")
        versions = {
            identity(it): it["metadata"]["resourceVersion"] for it in first.children() if it["kind"] == "Service"
        }
        written = _writes(world)
        # Another ledger's event goes through the same queue: when it has been served, so were this ledger's.
        world.kubectl("-n", first.namespace, "annotate", "chronicleledger", first.name, "chronicle-e2e=look")
        reconciles = world.operator_metrics()['chronicle_operator_reconciles_total{result="ok"}']
        until(
            "the operator has looked again",
            lambda: world.operator_metrics()['chronicle_operator_reconciles_total{result="ok"}'] > reconciles,
            seconds=90,
        )
        assert _writes(world) == written
        assert not world.kubectl.list("poddisruptionbudgets", first.namespace)
        now = {identity(it): it["metadata"]["resourceVersion"] for it in first.children() if it["kind"] == "Service"}
        assert now == versions
    until("the budgets are back", lambda: world.kubectl.list("poddisruptionbudgets", first.namespace), seconds=30)
    first.wait_ready(90)
    assert first.condition("ReconciliationPaused")["status"] == "False"
    assert world.kubectl.get("service", service["metadata"]["name"], first.namespace)["spec"]["selector"] == selector  # type: ignore[index]


def _writes(world: World) -> float:
    return sum(
        value
        for key, value in world.operator_metrics().items()
        if key.startswith("chronicle_operator_api_requests_total")
        and any(f'verb="{verb}"' in key for verb in ("create", "patch", "patch-status", "delete"))
    )
