"""What the Chaos Mesh injector asks for, and what it takes as proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from chronicle_chaos.faults import Component, NodeKill, Outage, Partition
from chronicle_chaos.injection import CleanupFailed, NotApplicable, PreflightError
from chronicle_chaos.injectors import chaosmesh, experiments
from chronicle_chaos.injectors.chaosmesh import ChaosMeshInjector
from chronicle_chaos.injectors.kubernetes import KubernetesError, PodState
from chronicle_chaos.target import Target

INJECTED = {
    "conditions": [{"type": "Selected", "status": "True"}, {"type": "AllInjected", "status": "True"}],
    "experiment": {"containerRecords": [{"id": "ns/pod", "phase": "Injected"}]},
}
VACUOUS = {**INJECTED, "experiment": {}}


def pod(name: str, component: str, uid: str = "1", *, ready: bool = True) -> PodState:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "books"}
    return PodState(name, uid, ready, running=True, started="then", node="node", labels=labels)


class Cluster:
    """A namespace in memory; experiments get `status` at once, and kill no pod unless a test does."""

    def __init__(self, status: Mapping[str, Any] = INJECTED) -> None:
        self.status = status
        self.all: list[PodState] = [pod(f"books-cockroachdb-{it}", "cockroachdb") for it in range(3)]
        self.all += [pod(f"books-nats-{it}", "nats") for it in range(3)]
        self.stored: dict[str, dict[str, Any]] = {}
        self.error: KubernetesError | None = None
        self.stuck = False

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        return [it for it in self.all if labels.items() <= it.labels.items()]

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [
            it
            for it in self.stored.values()
            if it["kind"] == kind and labels.items() <= it["metadata"]["labels"].items()
        ]

    async def create(self, experiment: dict[str, Any]) -> dict[str, Any]:
        stored = {**experiment, "status": self.status}
        stored["metadata"] = {**experiment["metadata"], "uid": f"uid-{len(self.stored)}"}
        self.stored[experiment["metadata"]["name"]] = stored
        return stored

    async def experiment(self, kind: str, name: str) -> dict[str, Any] | None:
        del kind
        return self.stored.get(name)

    async def delete(self, kind: str, name: str) -> None:
        del kind
        if not self.stuck:
            self.stored.pop(name, None)

    async def write_report(self, name: str, data: Mapping[str, str], files: Mapping[str, str]) -> None:
        raise NotImplementedError

    def restart(self, name: str) -> None:
        self.all = [replace(it, uid=f"{it.uid}+") if it.name == name else it for it in self.all]


class Undo:
    """Remembers what was recorded, and how many experiments there were by then."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen: list[int] = []

    def record(self, description: str, undo: Mapping[str, Any]) -> None:
        del description, undo
        self.seen.append(len(self.cluster.stored))


def injector(cluster: Cluster, **details: Any) -> ChaosMeshInjector:
    given = {"namespace": "ns", "ledger": "books", "nats": [], **details}
    return ChaosMeshInjector(Target("cluster", "http://x", {}, "cockroachdb", details=given), cluster, "run-1")


KILL = NodeKill(Component.COCKROACH)


async def test_a_kill_is_proven_only_once_the_pod_is_another() -> None:
    cluster = Cluster()
    subject, undo = injector(cluster), Undo(cluster)
    injection = await subject.inject(KILL, undo, Random(1))
    assert undo.seen == [0]  # the undo was written before there was anything to undo
    assert not (await subject.evidence(injection)).proven
    cluster.restart(injection.targets[0])
    assert (await subject.evidence(injection)).proven


async def test_an_experiment_is_a_child_of_the_ledger_so_that_it_goes_with_it() -> None:
    owner = {"apiVersion": "ledger.chronicle.dev/v1alpha1", "kind": "ChronicleLedger", "name": "books", "uid": "u"}
    cluster = Cluster()
    await injector(cluster, owner=owner).inject(Outage(Component.NATS), Undo(cluster), Random(1))
    (made,) = cluster.stored.values()
    assert made["metadata"]["ownerReferences"] == [owner]


async def test_an_experiment_that_hit_no_pod_proves_nothing_whatever_it_claims() -> None:
    cluster = Cluster(VACUOUS)
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.restart(injection.targets[0])
    assert not (await subject.evidence(injection)).proven


async def test_a_partition_ends_by_itself_goes_both_ways_and_names_both_sides() -> None:
    cluster = Cluster()
    subject = injector(cluster, sides={"region-a": ["one", "two"], "region-b": ["three"]}, longest=60)
    await subject.inject(Partition(), Undo(cluster), Random(1))
    (made,) = cluster.stored.values()
    spec = made["spec"]
    assert (spec["direction"], spec["mode"], spec["duration"]) == ("both", "all", "180s")
    assert spec["selector"]["expressionSelectors"][0]["values"] == ["one", "two"]
    assert spec["target"]["selector"]["expressionSelectors"][0]["values"] == ["three"]


async def test_an_outage_is_disproved_by_a_connection_that_is_made() -> None:
    import asyncio

    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = Cluster()
    subject = injector(cluster, nats=[f"127.0.0.1:{port}"])
    injection = await subject.inject(Outage(Component.NATS), Undo(cluster), Random(1))
    (made,) = cluster.stored.values()
    (others,) = made["spec"]["target"]["selector"]["expressionSelectors"]
    assert "migration" not in others["values"]  # pods of ended Jobs can never be injected
    assert "scenarios" in others["values"]  # this run's own probes are the evidence
    assert not (await subject.evidence(injection)).proven
    server.close()
    await server.wait_closed()
    assert (await subject.evidence(injection)).proven


async def test_without_chaos_mesh_a_scenario_does_not_apply_and_says_what_to_install() -> None:
    cluster = Cluster()
    cluster.error = KubernetesError("no such kind", 404)
    with pytest.raises(NotApplicable) as raised:
        await injector(cluster).preflight(KILL)
    assert "install Chaos Mesh" in raised.value.next_step


async def test_without_rights_preflight_says_which_are_missing() -> None:
    cluster = Cluster()
    cluster.error = KubernetesError("forbidden", 403)
    with pytest.raises(PreflightError) as raised:
        await injector(cluster).preflight(KILL)
    assert "podchaos" in raised.value.next_step


async def test_nothing_is_injected_where_a_pod_is_missing_or_no_pod_matches() -> None:
    cluster = Cluster()
    cluster.all[0] = replace(cluster.all[0], ready=False)
    with pytest.raises(PreflightError, match="2 of 3"):
        await injector(cluster).preflight(KILL)
    cluster.all = []
    with pytest.raises(PreflightError, match="0 of 0"):
        await injector(cluster).preflight(KILL)


async def test_preflight_sweeps_what_an_earlier_run_left() -> None:
    cluster = Cluster()
    left = experiments.pod_kill("old", "ns", {experiments.LEDGER: "books", experiments.RUN: "dead"}, ["x"])
    await cluster.create(left)
    await injector(cluster).preflight(KILL)
    assert cluster.stored == {}


async def test_healing_removes_this_runs_experiments_alone_and_twice_is_no_error() -> None:
    cluster = Cluster()
    other = experiments.pod_kill("other", "ns", {experiments.LEDGER: "other", experiments.RUN: "run-1"}, ["x"])
    await cluster.create(other)
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    await subject.heal(injection)
    await subject.heal(injection)
    assert list(cluster.stored) == ["other"]


async def test_an_experiment_that_does_not_go_is_reported_with_the_command_and_not_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chaosmesh, "DELETION_SECONDS", 0.05)
    monkeypatch.setattr(chaosmesh, "POLL_SECONDS", 0.01)
    cluster = Cluster()
    cluster.stuck = True
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    with pytest.raises(CleanupFailed) as raised:
        await subject.heal(injection)
    assert "cleanFinalizer=forced" in raised.value.next_step
    assert len(cluster.stored) == 1


async def test_a_pod_that_is_killed_stays_away_for_the_window_by_being_killed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chaosmesh, "KEEP_AWAY_SECONDS", 0.01)
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.all = [replace(it, uid="new", ready=False) if it.name == injection.targets[0] else it for it in cluster.all]
    (seen,) = await subject.during(injection, 0.1)
    assert seen.shows_fault
    assert "killed 2 times" in seen.after
    assert len(cluster.stored) == 2


async def test_a_pod_that_was_ready_in_the_window_disproves_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaosmesh, "KEEP_AWAY_SECONDS", 0.01)
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.restart(injection.targets[0])
    (seen,) = await subject.during(injection, 0.1)
    assert not seen.shows_fault
