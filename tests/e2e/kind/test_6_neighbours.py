"""Two ledgers in two namespaces: what is done to one leaves the other alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .children import essence, identity, lasting, leftovers
from .machine import Object, run, until
from .resilience import Run, chosen, left_over, workers
from .world import CLUSTER, IMAGE, OPERATOR_NAMESPACE, Ledger, World

KILLS = 4


def test_more_database_nodes_take_their_share(first: Ledger) -> None:
    first.edit({"regions": regions(first, {"region-a": 3, "region-b": 2})})
    until("five nodes live", lambda: first.status()["cockroachdb"].get("nodesLive") == 5, seconds=180)
    first.wait_ready(120)


def test_one_ledger_shrinks_and_another_is_made_while_the_operator_is_killed_again_and_again(
    first: Ledger, world: World
) -> None:
    """Five database nodes become three, one decommissioning after the other, and the first reconcile of the second
    ledger is cut off at four places. In the end both are as if nobody had been killed."""
    before = world.ask(first, "round")
    assert before["proof"]["result"] == "Passed"
    untouched = lasting(first)
    first.edit({"regions": regions(first, {"region-a": 2, "region-b": 1})})
    until("a decommissioning is at work", lambda: decommissions(first, world), seconds=180)
    operation = first.status()["cockroachdb"]["operation"]
    assert operation["type"] == "Decommission"

    ledger = world.apply_sample("minimal", "ledger-b")
    for kill in range(KILLS):
        # Each time a little further on: as soon as there are more children than at the last kill.
        until(
            f"kill {kill + 1}: the reconcile has got further",
            partial(grown, ledger, 4 * kill),
            seconds=120,
            pause=0.1,
        )
        pod = world.operator_pod()["metadata"]["name"]
        world.kubectl("-n", OPERATOR_NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force")
        until("a new operator runs", lambda: world.operator_metrics(), seconds=90)

    seen: set[str] = set()
    told: set[str] = set()

    def shrunk() -> bool:
        jobs = decommissions(first, world)
        assert len(jobs) <= 1, f"{len(jobs)} decommissionings at once"
        seen.update(it["metadata"]["annotations"]["ledger.chronicle.dev/pod"] for it in jobs)
        told.add((first.status()["cockroachdb"].get("operation") or {}).get("message", ""))
        return len(first.pods("cockroachdb")) == 3 and not jobs and first.ready()

    until("three nodes, each other one decommissioned", shrunk, seconds=420, pause=1)
    assert seen == {f"{first.name}-cockroachdb-region-a-2", f"{first.name}-cockroachdb-region-b-1"}
    assert any(it.endswith(" left") for it in told), f"no progress in replicas: {told}"
    claims = [
        it["metadata"]["name"]
        for it in world.kubectl.list("pvc", first.namespace)
        if "cockroachdb" in it["metadata"]["name"]
    ]
    assert len(claims) == 3, f"volumes of decommissioned nodes are left: {claims}"
    after = world.ask(first, "balance", ACCOUNT=before["account"])
    assert after["balance"] == before["balance"]
    assert after["proof"]["result"] == "Passed"
    ledger.wait_ready(300)
    assert world.ask(ledger, "round")["proof"]["result"] == "Passed"
    assert lasting(first) == untouched, "the neighbour was touched"


def test_an_edit_of_one_ledger_leaves_the_other_alone(first: Ledger, second: Ledger, world: World) -> None:
    before = {identity(it): essence(it) for it in first.children()}
    world.kubectl("-n", second.namespace, "scale", "chronicleledger", second.name, "--replicas=1")
    until("one API replica", lambda: len(second.pods("api")) == 1, seconds=90)
    second.wait_ready(90)
    assert {identity(it): essence(it) for it in first.children()} == before
    assert first.ready()


def test_a_hibernated_ledger_has_no_pod_and_wakes_with_its_data(second: Ledger, world: World) -> None:
    before = world.ask(second, "round")
    second.edit({"reconciliation": "Hibernated"})
    components = ("cockroachdb", "nats", "api", "relay", "projector")
    until("no pod is left", lambda: not any(second.pods(it) for it in components), seconds=180)
    until("it says so", lambda: second.condition("Ready").get("reason") == "Hibernated", seconds=30)
    second.edit({"reconciliation": "Active"})
    second.wait_ready(240)
    after = world.ask(second, "balance", ACCOUNT=before["account"])
    assert after["balance"] == before["balance"]
    assert after["proof"]["result"] == "Passed"


def test_a_ledger_whose_api_has_lost_a_guarantee_fails_by_the_check_that_is_there_for_it(
    second: Ledger, world: World, tmp_path: Path
) -> None:
    """The negative control, and `OnReady`: a new image is a new data plane, so the run starts by itself."""
    image = f"{IMAGE}-sabotaged"
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE}\nENV CHRONICLE_SABOTAGE=idempotency CHRONICLE_SABOTAGE_ALLOWED=yes-this-ledger-is-a-test\n"
    )
    run("docker", "build", "--tag", image, str(tmp_path))
    run("kind", "load", "docker-image", image, "--name", CLUSTER, "--nodes", ",".join(workers()), seconds=400)
    second.edit({
        "api": {"image": image},
        "resilience": {"trigger": "OnReady", "scenarios": chosen({"concurrent-withdrawals": 10})},
    })  # fmt: skip
    until(
        "the run has ended by itself",
        lambda: (second.status().get("run") or {}).get("state") == "Finished",
        seconds=400,
        pause=1,
    )
    assert left_over(second, world) == []
    (entry,) = second.status()["scenarios"]
    assert second.status()["run"]["trigger"] == "OnReady"
    assert (entry["verdict"], second.status()["scenarioSummary"]) == ("Failed", "0/1 Passed"), entry
    wrong = {it["name"] for it in entry["checks"] if it["result"] == "Failed"}
    assert "exactly-once" in wrong, entry["checks"]
    assert wrong <= {"exactly-once", "availability", "health"}, "a check failed that this sabotage does not concern"
    verified = second.condition("ResilienceVerified")
    assert (verified["status"], verified["reason"]) == ("False", "ScenarioFailed")
    assert "exactly-once" in verified["message"]
    assert second.condition("Ready")["status"] == "True", "a failed scenario is a finding, not an outage"


def test_deletion_policy_delete_leaves_nothing_even_in_the_middle_of_a_run(second: Ledger, world: World) -> None:
    second.edit({"deletionPolicy": "Delete", "resilience": {"trigger": "Manual"}})
    until(
        "the claims are to go with their StatefulSets",
        lambda: all(
            it["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"
            for it in world.kubectl.list("statefulsets", second.namespace)
        ),
        seconds=60,
    )
    second.wait_ready(120)
    Run.start(second, "deleted", {"nats-outage": 120}).wait_phase("nats-outage", "observe")
    world.kubectl("-n", second.namespace, "delete", "chronicleledger", second.name, "--timeout=60s")
    until(
        "nothing is left",
        lambda: not leftovers(second, world) and not left_over(second, world),
        seconds=240,
    )


def grown(ledger: Ledger, past: int) -> bool:
    return len(ledger.children()) > past


def regions(ledger: Ledger, counts: dict[str, int]) -> list[Object]:
    found: list[Object] = ledger.object()["spec"]["regions"]
    return [{**it, "cockroachReplicas": counts[it["name"]]} for it in found]


def decommissions(ledger: Ledger, world: World) -> list[Object]:
    return world.kubectl.list("jobs", ledger.namespace, "app.kubernetes.io/component=decommission")
