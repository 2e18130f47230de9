"""One apply gives a ledger that takes transfers."""

from __future__ import annotations

import time

from .world import Ledger, World

READY_WITHIN_SECONDS = 180


def test_one_apply_of_the_two_regions_sample_is_ready_within_three_minutes(world: World) -> None:
    began = time.monotonic()
    ledger = world.apply_sample("two-regions", "ledger-a", resilience={"trigger": "Manual"})
    ledger.wait_ready(READY_WITHIN_SECONDS)
    World.figures["apply to Ready, s"] = f"{time.monotonic() - began:.0f}"
    status = ledger.status()
    assert status["cockroachdb"]["summary"] == "3/3"
    assert status["nats"]["summary"] == "3/3"
    assert status["cockroachdb"]["nodesLive"] == 3
    places = {
        pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in ledger.pods("cockroachdb") + ledger.pods("nats")
    }
    regions = {
        node["metadata"]["name"]: node["metadata"]["labels"].get("topology.kubernetes.io/region")
        for node in world.kubectl.list("nodes", "default")
    }
    for pod, node in places.items():
        assert f"-{regions[node]}-" in pod, f"{pod} runs on {node} in {regions[node]}"


def test_a_transfer_goes_through_the_service_the_view_follows_and_the_proof_is_clean(
    first: Ledger, world: World
) -> None:
    found = world.ask(first, "round")
    assert found["balance"] == 100
    assert found["proof_status"] == 200, found["proof"]
    assert found["proof"]["result"] == "Passed", found["proof"]
    assert "100" in str(found["view"]), f"the read model did not follow: {found['view']}"
