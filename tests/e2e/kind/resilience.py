"""Runs of failure scenarios as a test asks for them: started, followed by phase, judged by what they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .machine import Object, run, until
from .world import CLUSTER, OPERATOR_NAMESPACE, Ledger, World, staying

DECIDED = ("Passed", "Failed", "Inconclusive", "NotApplicable", "Aborted")
EXPERIMENTS = "podchaos.chaos-mesh.org,networkchaos.chaos-mesh.org"


@dataclass(frozen=True)
class Run:
    """One run on a ledger, by its id."""

    ledger: Ledger
    run_id: str

    @classmethod
    def start(cls, ledger: Ledger, run_id: str, durations: Mapping[str, int | None]) -> Run:
        """Ask for a run of the named scenarios; `durations` are the seconds that each fault lasts, None for its own."""
        ledger.edit({"resilience": {"runID": run_id, "scenarios": chosen(durations)}})
        return cls(ledger, run_id)

    def state(self) -> str:
        """What the status says of this run, empty while it speaks of another."""
        latest = self.ledger.status().get("run") or {}
        return str(latest.get("state", "")) if latest.get("runID") == self.run_id else ""

    def entries(self) -> dict[str, Object]:
        """The run's scenarios in the status, by name."""
        found = self.ledger.status().get("scenarios") or []
        return {it["name"]: it for it in found if it.get("runID") == self.run_id}

    def said(self) -> dict[str, Object]:
        """What the run itself has reported so far, by scenario: fresher than the status, and told without an operator.
        Empty before it has said anything."""
        latest = self.ledger.status().get("run") or {}
        if latest.get("runID") != self.run_id:
            return {}
        report = self.ledger.kubectl.get("configmap", latest["reportName"], self.ledger.namespace) or {}
        progress = json.loads((report.get("data") or {}).get("progress.json", "{}"))
        return {it["name"]: it for it in progress.get("scenarios", ())} if progress.get("run") == self.run_id else {}

    def wait_phase(self, scenario: str, phase: str, seconds: float = 180) -> None:
        """Wait until a scenario is in `phase`, by the run's own word. Fails when it was decided before."""

        def there() -> bool:
            entry = self.said().get(scenario, {})
            assert entry.get("verdict") not in DECIDED, f"{scenario} ended before {phase}: {entry}"
            return entry.get("phase") == phase

        until(f"{scenario} is in {phase}", there, seconds=seconds, pause=0.3)

    def finish(self, seconds: float) -> dict[str, Object]:
        """Wait until the run has finished; its entries."""
        try:
            until(f"run {self.run_id} has finished", lambda: self.state() == "Finished", seconds=seconds, pause=1)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.ledger.status().get('run')}\n{self.entries()}") from None
        return self.entries()


def chosen(durations: Mapping[str, int | None]) -> list[Object]:
    """The `resilience.scenarios` of a spec."""
    return [{"name": name, **({"duration": f"{seconds}s"} if seconds else {})} for name, seconds in durations.items()]


def left_over(ledger: Ledger, world: World) -> list[str]:
    """What a run must not leave: experiments, leases, Jobs that still work, pods that still run."""
    kubectl = world.kubectl
    found = [
        f"{it['kind']}/{it['metadata']['name']}" for kind in (*EXPERIMENTS.split(","), "leases")
        for it in kubectl.list(kind, ledger.namespace)
    ]  # fmt: skip
    mine = f"app.kubernetes.io/instance={ledger.name},app.kubernetes.io/component=scenarios"
    found += [
        f"Job/{it['metadata']['name']}" for it in kubectl.list("jobs", ledger.namespace, mine)
        if it.get("status", {}).get("active")
    ]  # fmt: skip
    found += [
        f"Pod/{it['metadata']['name']}" for it in kubectl.list("pods", ledger.namespace, mine)
        if it["status"]["phase"] in ("Pending", "Running")
    ]  # fmt: skip
    return found


def cut_rules() -> list[str]:
    """The rules by which Chaos Mesh keeps packets from pods, in every network namespace of the workers.

    It leaves its two chains behind, empty, when it lets go; what counts is what is in them.
    """
    # chaos-daemon's iptables may be of the other kind than the node's own.
    save = "iptables-nft-save 2>/dev/null; iptables-legacy-save 2>/dev/null; true"
    look = f"for it in /var/run/netns/*; do nsenter --net=$it sh -c '{save}'; done"
    said = [run("docker", "exec", node, "sh", "-c", look) for node in workers()]
    return [line for text in said for line in text.splitlines() if line.startswith("-A CHAOS-")]


def workers() -> list[str]:
    """The nodes that run pods of ours."""
    return [it for it in run("kind", "get", "nodes", "--name", CLUSTER).split() if "control-plane" not in it]


def kill_operator(world: World) -> bool:
    """Kill the operator without grace; whether there was one to kill."""
    pods = world.kubectl.list("pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name=chronicle-operator")
    at_work = [
        it for it in staying(pods)
        if any("running" in container["state"] for container in it["status"].get("containerStatuses", []))
    ]  # fmt: skip
    for it in at_work:
        world.kubectl("-n", OPERATOR_NAMESPACE, "delete", "pod", it["metadata"]["name"], "--grace-period=0", "--force",
                      "--wait=false")  # fmt: skip
    return bool(at_work)


def runner(ledger: Ledger) -> Object:
    """The pod of the run that is going."""
    return until(
        "the run's pod is there",
        lambda: next((it for it in ledger.pods("scenarios") if it["status"]["phase"] == "Running"), None),
        seconds=60,
    )
