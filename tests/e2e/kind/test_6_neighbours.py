"""Two ledgers in two namespaces: what is done to one leaves the other alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .children import essence, identity, lasting, leftovers
from .machine import Object, until
from .resilience import Run, chosen, left_over
from .world import OPERATOR_NAMESPACE, SABOTAGED, Ledger, World

KILLS = 3


@dataclass(frozen=True)
class Shrinking:
    """Five database nodes of the first ledger on their way to three: what was before, and what was seen on the way."""

    account: str
    balance: int
    children: dict[str, str]
    jobs_seen: Path
    ledgers_seen: Path

    def jobs(self) -> list[tuple[str, str]]:
        """Every beginning and end of a decommissioning so far, in order: `ADDED` or `DELETED`, and its pod."""
        return [
            (it["type"], it["object"]["metadata"]["annotations"]["ledger.chronicle.dev/pod"])
            for it in _events(self.jobs_seen)
            if it["type"] != "MODIFIED"
        ]

    def told(self) -> list[Object]:
        """Every operation that the status of the ledger has named so far."""
        statuses: list[Object] = [it["object"].get("status") or {} for it in _events(self.ledgers_seen)]
        return [it["cockroachdb"]["operation"] for it in statuses if it.get("cockroachdb", {}).get("operation")]


def _events(seen: Path) -> list[Object]:
    """The events that `watching` has written so far; a line without its end is still being written."""
    return [json.loads(it) for it in seen.read_text().splitlines(keepends=True) if it.endswith("\n")]


@contextmanager
def watching(ledger: Ledger, seen: Path, *what: str) -> Iterator[None]:
    """Have every change of these objects of the ledger's namespace written into a file, a line each."""
    events = ("--watch", "--output-watch-events", "-o", "json")
    with seen.open("w") as file:
        watch = ledger.kubectl.follow("-n", ledger.namespace, "get", *what, *events, stdout=file)
        try:
            yield
        finally:
            watch.terminate()
            watch.wait(timeout=30)


@pytest.fixture(scope="module")
def shrinking(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shrinking]:
    """Begin to take two database nodes away from the first ledger; that goes on beside the tests that follow."""
    first = Ledger("ledger-a", "two-regions", world.kubectl)
    first.wait_ready(120)
    before = world.ask(first, "round")
    assert before["proof"]["result"] == "Passed"
    directory = tmp_path_factory.mktemp("shrinking")
    found = Shrinking(
        before["account"], before["balance"], lasting(first), directory / "jobs.jsonl", directory / "ledgers.jsonl"
    )
    of_operations = ("jobs", "-l", "app.kubernetes.io/component=decommission")
    with (
        watching(first, found.jobs_seen, *of_operations),
        watching(first, found.ledgers_seen, "chronicleledgers", first.name),
    ):
        first.resize({"region-a": 2, "region-b": 1})
        until("a decommissioning has begun", found.jobs, seconds=180)
        yield found


@pytest.mark.usefixtures("shrinking")
def test_killing_the_operator_during_the_first_reconcile_changes_nothing_in_the_end(world: World) -> None:
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
    ledger.wait_ready(300)
    assert world.ask(ledger, "round")["proof"]["result"] == "Passed"


def test_a_hibernated_ledger_has_no_pod_and_wakes_with_its_data(second: Ledger, world: World) -> None:
    before = world.ask(second, "round")
    second.edit({"reconciliation": "Hibernated"})
    for component in ("projector", "relay", "api", "nats", "cockroachdb"):
        until(f"no pod of {component} is left", lambda it=component: not second.pods(it), seconds=180)  # type: ignore[misc]
    until("it says so", lambda: second.condition("Ready").get("reason") == "Hibernated", seconds=30)
    second.edit({"reconciliation": "Active"})
    second.wait_ready(240)
    after = world.ask(second, "balance", ACCOUNT=before["account"])
    assert after["balance"] == before["balance"]
    assert after["proof"]["result"] == "Passed"


def test_a_ledger_whose_api_has_lost_a_guarantee_fails_by_the_check_that_is_there_for_it(
    second: Ledger, world: World
) -> None:
    """The negative control, and `OnReady`: a new image is a new data plane, so the run starts by itself."""
    second.edit({
        "api": {"image": SABOTAGED, "replicas": 1},
        "resilience": {"trigger": "OnReady", "scenarios": chosen({"concurrent-withdrawals": 4})},
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


def test_five_database_nodes_have_become_three_one_by_one_whatever_was_killed_meanwhile(
    shrinking: Shrinking, first: Ledger, world: World
) -> None:
    until("three nodes", lambda: len(first.pods("cockroachdb")) == 3 and first.ready(), seconds=420, pause=1)
    leaving = [f"{first.name}-cockroachdb-region-{it}" for it in ("b-1", "a-2")]
    until("both operations are over", lambda: len(shrinking.jobs()) >= 2 * len(leaving), seconds=30)
    assert shrinking.jobs() == [(what, pod) for pod in leaving for what in ("ADDED", "DELETED")]
    progress = [it["message"] for it in shrinking.told() if it["type"] == "Decommission"]
    assert any(it.endswith(" left") for it in progress), f"it was never told how many replicas are left: {progress}"
    claims = [
        it["metadata"]["name"]
        for it in world.kubectl.list("pvc", first.namespace)
        if "cockroachdb" in it["metadata"]["name"]
    ]
    assert len(claims) == 3, f"volumes of decommissioned nodes are left: {claims}"
    after = world.ask(first, "balance", ACCOUNT=shrinking.account)
    assert after["balance"] == shrinking.balance
    assert after["proof"]["result"] == "Passed"
    assert lasting(first) == shrinking.children, "something was made anew"


def test_an_edit_of_one_ledger_leaves_the_other_alone(first: Ledger, second: Ledger, world: World) -> None:
    before = {identity(it): essence(it) for it in first.children()}
    world.kubectl("-n", second.namespace, "scale", "chronicleledger", second.name, "--replicas=2")
    until("two API replicas", lambda: len(second.pods("api")) == 2, seconds=90)
    second.wait_ready(90)
    assert {identity(it): essence(it) for it in first.children()} == before
    assert first.ready()


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
    # While Chaos Mesh is still at work on the cut, pod after pod.
    Run.start(second, "deleted", {"nats-outage": 120}).wait_phase("nats-outage", "prove")
    world.kubectl("-n", second.namespace, "delete", "chronicleledger", second.name, "--timeout=60s")
    until(
        "nothing is left",
        lambda: not leftovers(second, world) and not left_over(second, world),
        seconds=240,
    )


def grown(ledger: Ledger, past: int) -> bool:
    return len(ledger.children()) > past
