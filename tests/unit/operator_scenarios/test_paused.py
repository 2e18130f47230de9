"""A pause in the middle of a run, through a whole reconcile: the ledger is left alone, the run is not."""

from __future__ import annotations

from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds
from support.operator_world import World

CUT = Kind("chaos-mesh.org", "v1alpha1", "NetworkChaos", "networkchaos")


async def test_a_run_is_followed_to_its_end_and_swept_though_the_ledger_is_paused() -> None:
    world = World(resilience={"runID": "one"})
    await world.reconcile()
    while "run" not in world.ledger["status"]:
        await world.settle(1)
    world.edit(reconciliation="Paused")
    labels = {"ledger.chronicle.dev/ledger": "main", "ledger.chronicle.dev/run": "one"}
    cut = {"apiVersion": CUT.api_version, "kind": CUT.kind}
    world.kube.put(CUT, {**cut, "metadata": {"name": "cut", "namespace": "ns", "labels": labels}})
    world.run_controllers()  # the run's Job ends
    for _ in range(2):
        await world.reconcile()
    assert world.condition("ReconciliationPaused")["status"] == "True"
    assert world.ledger["status"]["run"]["state"] == "Finished"
    assert world.kube.of(CUT) == []


async def test_what_is_asked_for_during_a_pause_is_said_to_wait_and_nothing_is_written_but_the_status() -> None:
    world = World()
    await world.settle(4)
    world.edit(reconciliation="Paused", resilience={"runID": "one"})
    world.kube.calls.clear()
    await world.reconcile()
    assert "run one (Manual) waits" in world.condition("ResilienceVerified")["message"]
    written = {call for call in world.kube.calls if call[0] not in ("get", "list")}
    assert written == {("patch", kinds.GROUP, "chronicleledgers/status"), ("create", "events.k8s.io", "events")}
