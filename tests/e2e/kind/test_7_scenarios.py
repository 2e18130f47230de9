"""The operator proves the ledger: verdicts that are earned, that are refused, and runs that are cut short."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chronicle_chaos.injectors.kubernetes import experiments
from chronicle_chaos.injectors.kubernetes.experiments import Metadata, Selector

from .machine import Object, until
from .machine import run as command
from .resilience import DECIDED, Run, cut_rules, kill_operator, left_over, runner
from .world import Ledger, World

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
    made = {name: [it["kind"] for it in entries[name].get("experiments", [])] for name in FIVE}
    assert made["cockroach-node-failure"] == ["PodChaos", "NetworkChaos"], "the kill, and the cut that keeps it away"
    assert made["api-crash"] == ["PodChaos"] * 4
    assert left_over(first, world) == []
    assert cut_rules() == []
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
    # From the fetched files alone the same verdicts follow.
    command(str(Path(sys.executable).with_name("chronicle")), "scenario", "verify", str(tmp_path / "report"))


def test_a_paused_ledger_is_not_injected_into(first: Ledger, world: World) -> None:
    with first.trying({"reconciliation": "Paused"}):
        until("it is paused", lambda: first.condition("ReconciliationPaused").get("status") == "True", seconds=30)
        run = Run.start(first, "while-paused", {"api-crash": 12})
        generation = first.object()["metadata"]["generation"]
        until(
            "the operator has seen the request",
            lambda: first.status().get("observedGeneration") == generation,
            seconds=60,
        )
        assert run.state() == ""
        assert "run while-paused (Manual) waits" in first.condition("ResilienceVerified")["message"]
        assert left_over(first, world) == []
        # Asked for and taken back before the ledger goes on: nothing is due any more.
        first.edit({"resilience": {"runID": "five"}})
    first.wait_ready(90)
    assert run.state() == ""


def test_without_the_controller_of_chaos_mesh_nothing_is_proven(first: Ledger, world: World) -> None:
    """Nobody is there to take an experiment: it is refused by the webhook that nobody serves, or accepted and never
    looked at."""
    kubectl = world.kubectl
    kubectl("-n", "chaos-mesh", "scale", CONTROLLER, "--replicas=0")
    # It takes half a minute to leave by itself, in which it would still take an experiment.
    kubectl("-n", "chaos-mesh", "delete", "pod", "-l", "app.kubernetes.io/component=controller-manager",
            "--grace-period=0", "--force")  # fmt: skip
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
    if entry["reason"] == "InjectionFailed":
        assert "Chaos Mesh did not take the experiment" in entry["message"]
        assert "webhook" in entry["message"]
        assert not entry.get("experiments")
    else:
        assert entry["reason"] == "FaultUnproven", entry
        assert "no word of Chaos Mesh" in entry["message"]
        assert entry["experiments"], entry
    World.figures["without Chaos Mesh's controller"] = entry["reason"]
    assert first.condition("ResilienceVerified")["status"] == "Unknown"
    kubectl("-n", "chaos-mesh", "rollout", "status", CONTROLLER, "--timeout=120s", seconds=150)
    until("nothing is left", lambda: not left_over(first, world), seconds=120)


@pytest.mark.parametrize(
    ("phase", "scenario", "seconds"),
    [("steady-state", "api-crash", 12), ("observe", "nats-outage", 60), ("verify", "concurrent-withdrawals", 3)],
)
def test_a_runner_that_is_killed_is_aborted_and_what_it_broke_is_mended(
    first: Ledger, world: World, phase: str, scenario: str, seconds: int
) -> None:
    run = Run.start(first, f"runner-killed-{phase}", {scenario: seconds})
    run.wait_phase(scenario, phase)
    if phase == "observe":
        assert any(it.startswith("NetworkChaos/") for it in left_over(first, world)), "nothing was broken yet"
        assert cut_rules(), "the rules of a cut are not where they are looked for"
    world.kubectl("-n", first.namespace, "delete", "pod", runner(first)["metadata"]["name"], "--grace-period=0",
                  "--force")  # fmt: skip
    entry = run.finish(90)[scenario]
    assert entry["verdict"] == "Aborted", entry
    # A runner that had the time to say so had nothing to clean up before it broke anything.
    assert entry["cleanup"] in ({"Clean"} if phase == "observe" else {"Clean", "NotNeeded"}), entry
    # Finished means that nothing is left, not that it will go.
    assert left_over(first, world) == []
    assert cut_rules() == []
    first.wait_ready(120)


def test_a_drained_node_ends_a_run_that_says_so_and_heals(first: Ledger, world: World) -> None:
    run = Run.start(first, "drained", {"api-crash": 40})
    run.wait_phase("api-crash", "observe")
    node = runner(first)["spec"]["nodeName"]
    try:
        world.kubectl("drain", node, "--pod-selector=app.kubernetes.io/component=scenarios", "--force",
                      "--delete-emptydir-data", "--timeout=120s", seconds=150)  # fmt: skip
        entry = run.finish(120)["api-crash"]
    finally:
        world.kubectl("uncordon", node)
    assert entry["verdict"] == "Aborted", entry
    assert entry["cleanup"] == "Clean", entry
    assert left_over(first, world) == []
    first.wait_ready(120)


def test_the_operator_killed_in_every_phase_changes_nothing_of_a_run(first: Ledger, world: World) -> None:
    """One run: at each new phase the operator is killed, as soon as there is one again. A phase that is over before
    the next operator runs has been gone through without any, which is as good. It passes, after all those above that
    were cut short. Not api-crash: on two cores the starts of API instances and of operators together starve the
    database until /health says so, and the run fails for what it is meant to find."""
    run = Run.start(first, "operator-killed", {"nats-outage": 12})
    jobs: set[str] = set()
    met: dict[str, str] = {}

    def decided() -> bool:
        entry = run.said().get("nats-outage", {})
        phase = str(entry.get("phase", "before the first phase" if run.state() else ""))
        if phase and phase not in met:
            met[phase] = "killed" if kill_operator(world) else "away"
            jobs.update(_jobs(first, world))
        return entry.get("verdict") in DECIDED

    until("the run has decided", decided, seconds=240, pause=0.1)
    met["after the verdict"] = "killed" if kill_operator(world) else "away"
    entry = run.finish(180)["nats-outage"]
    jobs |= _jobs(first, world)
    assert entry["verdict"] == "Passed", entry
    assert len(jobs) == 1, f"the run was started more than once: {jobs}"
    assert left_over(first, world) == []
    # The others may be shorter than the second after which a run tells of them.
    assert {"steady-state", "observe", "verify"} <= set(met), met
    assert list(met.values()).count("killed") >= 3, met
    World.figures["operator killed, or away, in"] = ", ".join(f"{phase} ({how})" for phase, how in met.items())


def test_an_experiment_that_hits_no_pod_is_not_taken_for_a_fault(first: Ledger, world: World) -> None:
    """What Chaos Mesh itself says of a selector that matches nothing, as the injector reads it. That a run with such
    evidence comes out Inconclusive is a matter of the unit tests."""
    kubectl, name = world.kubectl, "matches-nothing"
    one, other = (
        Selector([first.namespace], label_selectors={"app.kubernetes.io/instance": it}) for it in ("nobody", "no-one")
    )
    kubectl.apply(experiments.partition(Metadata(name, first.namespace), one, other, 60).manifest())
    try:
        told = until("Chaos Mesh has looked at it", lambda: _told_of(first, name), seconds=15)
    finally:
        kubectl("-n", first.namespace, "delete", "networkchaos", name, "--timeout=60s")
    at_work, said = told.injected()
    assert not at_work, said
    World.figures["Chaos Mesh on an experiment without a pod"] = said


def _told_of(ledger: Ledger, name: str) -> experiments.Experiment | None:
    found = ledger.kubectl.get("networkchaos", name, ledger.namespace)
    seen = experiments.read(found, "NetworkChaos") if found else None
    return seen if seen and seen.status.conditions else None


def _jobs(ledger: Ledger, world: World) -> set[str]:
    found: list[Object] = world.kubectl.list(
        "jobs", ledger.namespace, f"app.kubernetes.io/instance={ledger.name},app.kubernetes.io/component=scenarios"
    )
    return {it["metadata"]["uid"] for it in found}
