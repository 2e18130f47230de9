"""Uninstalling never hangs, leaves nothing but what `Retain` keeps, and a new installation finds its data again."""

from __future__ import annotations

from .children import leftovers
from .machine import until
from .resilience import Run
from .world import OPERATOR_NAMESPACE, Ledger, World


def test_without_chaos_mesh_a_scenario_does_not_apply_and_the_ledger_is_ready(first: Ledger, world: World) -> None:
    kubectl = world.kubectl
    kubectl.helm("uninstall", "chaos-mesh", "-n", "chaos-mesh", "--wait")
    kinds = [f"{it}.chaos-mesh.org" for it in ("podchaos", "networkchaos")]
    kubectl("delete", "crd", *kinds, "--timeout=60s")
    entry = Run.start(first, "no-chaos-mesh", {"api-crash": 12}).finish(180)["api-crash"]
    assert entry["verdict"] == "NotApplicable", entry
    assert "install Chaos Mesh" in entry["message"]
    assert first.condition("Ready")["status"] == "True"
    assert first.condition("ResilienceVerified")["status"] == "Unknown"


def test_uninstall_and_reinstall_keep_the_data(first: Ledger, world: World) -> None:
    kubectl = world.kubectl
    before = world.ask(first, "round")
    # The worst order on purpose: the operator goes first, so nobody is there to help the deletion.
    kubectl.helm("uninstall", "chronicle-operator", "-n", OPERATOR_NAMESPACE, "--wait")
    kubectl("-n", first.namespace, "delete", "chronicleledger", first.name, "--timeout=60s")
    until(
        "nothing but volumes is left",
        lambda: all(it.startswith("PersistentVolumeClaim/") for it in leftovers(first, world)),
        seconds=180,
    )
    claims = leftovers(first, world)
    assert len(claims) == 6, f"three database volumes and three of NATS are kept: {claims}"

    world.install_operator()
    again = world.apply_sample("two-regions", first.namespace, resilience={"trigger": "Manual"})
    again.wait_ready(240)
    after = world.ask(again, "balance", ACCOUNT=before["account"])
    assert after["balance"] == before["balance"]
    assert after["proof"]["result"] == "Passed", after["proof"]
