"""Scaling and upgrading a ledger that is in use."""

from __future__ import annotations

import os
from functools import partial

import pytest

from .children import back_again, identity
from .machine import CommandFailed, Object, until
from .world import CHART, COCKROACH_IMAGE, OPERATOR_NAMESPACE, Ledger, World, staying


def test_the_charts_own_test_posts_a_transfer_and_reads_it_back(first: Ledger, world: World) -> None:
    if os.environ.get("CHRONICLE_E2E_OPERATOR") == "present":
        pytest.skip("the operator was not installed by its chart")
    release, where = "chronicle-operator", ("-n", OPERATOR_NAMESPACE)
    # The ledger's namespace is not given: it is the first of those that are served.
    world.kubectl.helm("upgrade", release, str(CHART), *where, "--reuse-values", "--set", f"test.ledger={first.name}")
    try:
        world.kubectl.helm("test", release, *where, "--timeout", "120s")
    except CommandFailed as failed:
        said = world.kubectl("-n", first.namespace, "logs", "chronicle-operator-test")
        raise AssertionError(f"{failed}\n{said}") from None
    said = world.kubectl("-n", first.namespace, "logs", "chronicle-operator-test")
    assert "posted and read back; balances 750 and 250" in said
    world.kubectl("-n", first.namespace, "delete", "pod", "chronicle-operator-test")


def test_new_certificates_and_a_new_template_roll_one_database_pod_at_a_time_under_load(
    first: Ledger, world: World
) -> None:
    """The image stays (there is one), a resource request changes: the same path as an image's. Beside it every Secret
    that may come back with new content is deleted: certificates. The authority is not made anew by design. The others
    are, but clients hold the keys, and NATS, its clients and the API take a minute or two until all know the new ones,
    in which the tests that follow would be refused. The unit tests delete those."""
    passwords = ("-nats-auth", "-nats-auth-api", "-nats-auth-relay", "-nats-auth-projector")
    kept = ("-ca", "-admin-key", "-api-keys", "-scenario-key", *passwords)
    secrets = {
        identity(it): it["metadata"]["uid"]
        for it in first.children()
        if it["kind"] == "Secret" and not it["metadata"]["name"].endswith(kept)
    }
    before = {it["metadata"]["name"]: it["metadata"]["uid"] for it in first.pods("cockroachdb")}
    lowest = len(before)

    def rolled() -> bool:
        nonlocal lowest
        ready = len(ready_pods(first, "cockroachdb"))
        lowest = min(lowest, ready)
        now = {it["metadata"]["name"]: it["metadata"]["uid"] for it in first.pods("cockroachdb")}
        return ready == len(before) and all(now.get(name, uid) != uid for name, uid in before.items())

    with world.load(first) as figures:
        world.kubectl("-n", first.namespace, "delete", *secrets)
        first.edit({"cockroachdb": {"resources": {"requests": {"cpu": "51m", "memory": "256Mi"}}}})
        back_again(first, secrets, seconds=60)
        until("every database pod has been replaced", rolled, seconds=400)
        first.wait_ready(300)
    assert lowest >= len(before) - 1, f"{len(before) - lowest} database pods were away at once"
    World.figures["rolling restart of 3 nodes: requests, failed"] = f"{figures['ok']}, {figures['failed']}"
    if figures["wrong"]:  # single ones are allowed here, but not without their reason being known
        World.figures["refused during the rolling restart"] = "; ".join(figures["wrong"])
    assert figures["balance"] >= figures["ok"], "an acknowledged transfer is missing"
    assert figures["ok"] > 100


def test_a_broken_image_stops_the_rollout_at_one_pod_and_can_be_taken_back(first: Ledger, world: World) -> None:
    good = first.object()["spec"]["cockroachdb"]["image"]
    assert good == COCKROACH_IMAGE or not COCKROACH_IMAGE
    with first.trying({"cockroachdb": {"image": "cockroachdb/cockroach:there-is-no-such-tag"}}):
        until(
            "the trouble is in the status",
            lambda: "no-such-tag" in first.condition("CockroachReady").get("message", ""),
            seconds=180,
        )
        assert len(ready_pods(first, "cockroachdb")) == 2
        assert world.ask(first, "round")["balance"] == 100, "two of three nodes still serve"
    first.wait_ready(180)


def test_more_database_nodes_join(first: Ledger) -> None:
    """They take their share of the ranges while the next tests go on."""
    first.resize({"region-a": 3, "region-b": 2})
    until("five nodes live", lambda: first.status()["cockroachdb"].get("nodesLive") == 5, seconds=180)


def test_the_api_scales_up_and_down_without_a_failed_request(first: Ledger, world: World) -> None:
    with world.load(first) as figures:
        for replicas in (5, 2, 3):
            world.kubectl("-n", first.namespace, "scale", "chronicleledger", first.name, f"--replicas={replicas}")
            until(f"{replicas} API replicas", partial(has_replicas, first, replicas), seconds=120)
    World.figures["API 3→5→2→3: requests, failed"] = f"{figures['ok']}, {figures['failed']}"
    assert figures["failed"] == 0, figures["wrong"]
    assert figures["ok"] > 50
    assert figures["balance"] == figures["ok"]


def test_the_operator_never_asked_for_what_its_role_does_not_grant(first: Ledger, world: World) -> None:
    refused = {key for key in world.operator_metrics() if 'outcome="Forbidden"' in key}
    assert not refused, f"rights that are missing in the chart's Role: {refused}"


def test_a_status_that_somebody_wrote_first_was_a_conflict_and_not_a_refusal(first: Ledger, world: World) -> None:
    refused = {key for key in world.operator_metrics() if 'verb="patch-status"' in key and 'outcome="Invalid"' in key}
    assert not refused


def has_replicas(ledger: Ledger, count: int) -> bool:
    return len(ready_pods(ledger, "api")) == count == len(ledger.pods("api"))


def ready_pods(ledger: Ledger, component: str) -> list[Object]:
    return [
        pod
        for pod in staying(ledger.pods(component))
        if any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"].get("conditions", []))
    ]
