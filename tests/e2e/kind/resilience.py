"""Runs of failure scenarios as a test asks for them: started, followed by phase, judged by what they leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .machine import Object, until
from .world import Ledger, World

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
        run = self.ledger.status().get("run") or {}
        return str(run.get("state", "")) if run.get("runID") == self.run_id else ""

    def entries(self) -> dict[str, Object]:
        """The run's scenarios in the status, by name."""
        found = self.ledger.status().get("scenarios") or []
        return {it["name"]: it for it in found if it.get("runID") == self.run_id}

    def wait_phase(self, scenario: str, phase: str, seconds: float = 180) -> None:
        """Wait until a scenario is in `phase`. Fails when it was decided before."""

        def there() -> bool:
            entry = self.entries().get(scenario, {})
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
    """What a run must not leave: experiments, Jobs that still work, pods that still run."""
    kubectl = world.kubectl
    found = [
        f"{it['kind']}/{it['metadata']['name']}" for kind in EXPERIMENTS.split(",")
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


def runner(ledger: Ledger) -> Object:
    """The pod of the run that is going."""
    return until(
        "the run's pod is there",
        lambda: next((it for it in ledger.pods("scenarios") if it["status"]["phase"] == "Running"), None),
        seconds=60,
    )
