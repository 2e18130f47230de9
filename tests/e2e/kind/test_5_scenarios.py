"""The operator proves the ledger: verdicts that are earned, that are refused, and runs that are cut short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .machine import CommandFailed, Object, until
from .resilience import Run, chosen, left_over, runner
from .world import OPERATOR_NAMESPACE, Ledger, World

pytestmark = pytest.mark.timeout(1200)
FIVE = ("concurrent-withdrawals", "nats-outage", "api-crash", "cockroach-node-failure", "network-partition")
"""Under the windows that they have by themselves: what a person gets who writes nothing of them."""

CONTROLLER = "deploy/chaos-controller-manager"


def test_the_five_scenarios_pass_and_the_status_says_so(first: Ledger, world: World, tmp_path: Path) -> None:
    kubectl = world.kubectl
    assert [it["name"] for it in first.object()["spec"]["resilience"]["scenarios"]] == list(FIVE), "not the sample's"
    said = kubectl.chronicle("run", first.name, "-n", first.namespace, "--run-id", "five", "--json", seconds=1100)
    verdicts = {it["name"]: (it["verdict"], it.get("message")) for it in json.loads(said)}
    assert {name: verdict for name, (verdict, _) in verdicts.items()} == dict.fromkeys(FIVE, "Passed"), verdicts

    entries = Run(first, "five").entries()
    for name, entry in entries.items():
        assert entry["faultConfirmed"], name
        assert entry["acknowledgedWrites"] > 0
        assert entry["lostWrites"] == 0
        assert "longestGapMilliseconds" in entry, name
        assert "recoveryMilliseconds" in entry, name
        assert {it["result"] for it in entry["checks"]} == {"Passed"}, name
        assert entry["reportRef"]["name"].startswith(f"{first.name}-report-")
        World.figures[f"{name}: gap, recovery (ms)"] = (
            f"{entry['longestGapMilliseconds']}, {entry['recoveryMilliseconds']}"
        )
    for name in set(FIVE) - {"concurrent-withdrawals"}:
        assert entries[name]["experiments"], f"{name} names no experiment"
        assert entries[name]["injector"] == "ChaosMesh"
    assert left_over(first, world) == []
    assert first.condition("ResilienceVerified")["status"] == "True"

    row = kubectl("-n", first.namespace, "get", "chronicleledgers")
    assert "5/5 Passed" in row
    told = kubectl("-n", first.namespace, "describe", "chronicleledger", first.name)
    for name in FIVE:
        assert name in told
    assert "All Passed" in told or "AllPassed" in told

    kubectl.chronicle("report", first.name, "-n", first.namespace, "-o", str(tmp_path / "report"))
    left = {it.name for it in (tmp_path / "report").iterdir()}
    assert {"journal.json", "history.jsonl", "report.html", "timeline.png", "junit.xml"} <= left
    journal = json.loads((tmp_path / "report" / "journal.json").read_text())
    assert {it["name"]: it["verdict"] for it in journal["scenarios"]} == dict.fromkeys(FIVE, "Passed")


def test_a_window_that_cannot_be_judged_is_refused_with_the_shortest_that_can(first: Ledger) -> None:
    with pytest.raises(CommandFailed) as refused:
        first.edit({"resilience": {"scenarios": chosen({"network-partition": 30})}})
    assert "at least 35s" in refused.value.said


def test_the_operator_killed_in_every_phase_changes_nothing_of_a_run(first: Ledger, world: World) -> None:
    run = Run.start(first, "operator-killed", {"api-crash": 25})
    jobs: set[str] = set()
    for phase in ("steady-state", "observe", "verify"):
        run.wait_phase("api-crash", phase)
        jobs |= _jobs(first, world)
        pod = world.operator_pod()["metadata"]["name"]
        world.kubectl("-n", OPERATOR_NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force")
        if phase != "verify":
            until("a new operator runs", lambda: world.operator_metrics(), seconds=90)
    entry = run.finish(180)["api-crash"]
    jobs |= _jobs(first, world)
    assert entry["verdict"] == "Passed", entry
    assert len(jobs) == 1, f"the run was started more than once: {jobs}"
    assert left_over(first, world) == []


def test_a_paused_ledger_is_not_injected_into(first: Ledger, world: World) -> None:
    first.edit({"reconciliation": "Paused"})
    until("it is paused", lambda: first.condition("ReconciliationPaused").get("status") == "True", seconds=30)
    run = Run.start(first, "while-paused", {"api-crash": 12})
    generation = first.object()["metadata"]["generation"]
    until(
        "the operator has seen the request",
        lambda: first.status().get("observedGeneration") == generation,
        seconds=60,
    )
    assert run.state() == ""
    assert left_over(first, world) == []
    # Asked for and taken back before the ledger goes on: nothing is due any more.
    first.edit({"resilience": {"runID": "operator-killed"}})
    first.edit({"reconciliation": "Active"})
    first.wait_ready(90)
    assert run.state() == ""


def test_a_runner_that_is_killed_is_aborted_and_what_it_broke_is_mended(first: Ledger, world: World) -> None:
    run = Run.start(first, "runner-killed", {"nats-outage": 60})
    run.wait_phase("nats-outage", "observe")
    assert any(it.startswith("NetworkChaos/") for it in left_over(first, world)), "nothing was broken yet"
    world.kubectl("-n", first.namespace, "delete", "pod", runner(first)["metadata"]["name"], "--grace-period=0",
                  "--force")  # fmt: skip
    entry = run.finish(90)["nats-outage"]
    assert entry["verdict"] == "Aborted", entry
    until("nothing is left", lambda: not left_over(first, world), seconds=90)
    first.wait_ready(120)


def test_a_drained_node_ends_a_run_that_says_so_and_heals(first: Ledger, world: World) -> None:
    run = Run.start(first, "drained", {"nats-outage": 60})
    run.wait_phase("nats-outage", "observe")
    node = runner(first)["spec"]["nodeName"]
    try:
        world.kubectl("drain", node, "--pod-selector=app.kubernetes.io/component=scenarios", "--force",
                      "--timeout=120s", seconds=150)  # fmt: skip
        entry = run.finish(120)["nats-outage"]
    finally:
        world.kubectl("uncordon", node)
    assert entry["verdict"] == "Aborted", entry
    assert entry["cleanup"] == "Clean", entry
    assert left_over(first, world) == []
    first.wait_ready(120)


def test_without_the_controller_of_chaos_mesh_nothing_is_proven(first: Ledger, world: World) -> None:
    """An experiment that injects nothing: nobody takes it. The run after it, with the controller back, passes."""
    kubectl = world.kubectl
    kubectl("-n", "chaos-mesh", "scale", CONTROLLER, "--replicas=0")
    try:
        until(
            "the controller is gone",
            lambda: not kubectl.list("pods", "chaos-mesh", "app.kubernetes.io/component=controller-manager"),
            seconds=90,
        )
        entry = Run.start(first, "no-controller", {"api-crash": 12}).finish(240)["api-crash"]
    finally:
        kubectl("-n", "chaos-mesh", "scale", CONTROLLER, "--replicas=1")
    assert entry["verdict"] == "Inconclusive", entry
    assert not entry.get("faultConfirmed")
    assert first.condition("ResilienceVerified")["status"] == "Unknown"
    kubectl("-n", "chaos-mesh", "rollout", "status", CONTROLLER, "--timeout=120s", seconds=150)
    until("nothing is left", lambda: not left_over(first, world), seconds=120)
    assert Run.start(first, "controller-back", {"api-crash": 15}).finish(240)["api-crash"]["verdict"] == "Passed"


def _jobs(ledger: Ledger, world: World) -> set[str]:
    found: list[Object] = world.kubectl.list(
        "jobs", ledger.namespace, f"app.kubernetes.io/instance={ledger.name},app.kubernetes.io/component=scenarios"
    )
    return {it["metadata"]["uid"] for it in found}
