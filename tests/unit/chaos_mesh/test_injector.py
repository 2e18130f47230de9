"""What the Chaos Mesh injector asks for, and what it takes as proof."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from chronicle_chaos.faults import crashes as crashing
from chronicle_chaos.faults import fault
from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.injection import CleanupFailed, InjectionError, NotApplicable, PreflightError
from chronicle_chaos.injectors.kubernetes import away as chaosmesh_away
from chronicle_chaos.injectors.kubernetes import experiments
from chronicle_chaos.injectors.kubernetes import hands as chaosmesh
from chronicle_chaos.injectors.kubernetes import preflight as chaosmesh_preflight
from chronicle_chaos.injectors.kubernetes import probes as cluster_probes
from chronicle_chaos.injectors.kubernetes.client import KubernetesError, PodState
from chronicle_chaos.injectors.kubernetes.experiments import Experiment, Metadata, PodKill, Selector, Wanted
from chronicle_chaos.injectors.kubernetes.injector import ChaosMeshInjector
from chronicle_chaos.injectors.kubernetes.probes import DatabaseSeen
from chronicle_chaos.target import Target
from chronicle_contract.labels import LEDGER, REGION, RUN, UID

INJECTED = {
    "conditions": [{"type": "Selected", "status": "True"}, {"type": "AllInjected", "status": "True"}],
    "experiment": {"containerRecords": [{"id": "ns/pod", "phase": "Injected"}]},
}
VACUOUS = {**INJECTED, "experiment": {}}


def pod(name: str, component: str, uid: str = "1", *, ready: bool = True) -> PodState:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "books", UID: "u"}
    return PodState(name, uid, ready, running=True, started="then", node="node", labels=labels)


OWNER = {"apiVersion": "ledger.chronicle.dev/v1alpha1", "kind": "ChronicleLedger", "name": "books", "uid": "u"}


class Cluster:
    """A namespace in memory; experiments get `status` at once, and kill no pod unless a test does."""

    def __init__(self, status: Mapping[str, Any] = INJECTED) -> None:
        self.status = status
        self.all: list[PodState] = [pod(f"books-cockroachdb-{it}", "cockroachdb") for it in range(3)]
        self.all += [pod(f"books-nats-{it}", "nats") for it in range(3)]
        self.stored: dict[str, dict[str, Any]] = {}
        self.error: KubernetesError | None = None
        self.errors: list[KubernetesError] = []
        """What the next requests about pods end in, before any is answered."""
        self.stuck = False
        self.forbidden: set[str] = set()
        self.kills_pods = False

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        if self.errors:
            raise self.errors.pop(0)
        return [it for it in self.all if labels.items() <= it.labels.items()]

    async def may(self, verb: str, kind: str) -> bool:
        del kind
        return verb not in self.forbidden

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Experiment]:
        if self.error:
            raise self.error
        return [
            experiments.read(it, kind)
            for it in self.stored.values()
            if it["kind"] == kind and labels.items() <= it["metadata"]["labels"].items()
        ]

    async def create(self, wanted: Wanted) -> Experiment:
        stored = {**wanted.manifest(), "status": self.status}
        stored["metadata"] = {**stored["metadata"], "uid": f"uid-{len(self.stored)}"}
        self.stored[wanted.metadata.name] = stored
        if self.kills_pods and isinstance(wanted.spec, PodKill):
            for name in wanted.spec.selector.pods["ns"]:
                self.restart(name)
        return experiments.read(stored, wanted.kind)

    async def experiment(self, kind: str, name: str) -> Experiment | None:
        return experiments.read(self.stored[name], kind) if name in self.stored else None

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
    given = {"namespace": "ns", "ledger": "books", "nats": [], "owner": OWNER, **details}
    return ChaosMeshInjector(Target("cluster", "http://x", {}, "cockroachdb", details=given), cluster, "run-1")


def of_run(run: str, ledger: str, name: str) -> Metadata:
    return Metadata(name, "ns", {LEDGER: ledger, RUN: run})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaosmesh, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(fault, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(fault, "SOUND_SECONDS", 0.05)
    monkeypatch.setattr(fault, "LAST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(chaosmesh_preflight, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(chaosmesh_preflight, "SOUND_SECONDS", 0.05)
    monkeypatch.setattr(crashing, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(chaosmesh_away, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(chaosmesh_away, "NOTICED_SECONDS", 0.1)
    monkeypatch.setattr(crashing, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(crashing, "GONE_SECONDS", 0.1)


@asynccontextmanager
async def listening() -> AsyncIterator[asyncio.Server]:
    """A server that takes connections, as NATS would, until it is closed."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


def address(server: asyncio.Server) -> str:
    return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


KILL = NodeKill(Component.COCKROACH)
CRASH = Crashes(Component.API, times=4)
CUT = Partition()
SIDES = {"region-a": ["one", "two"], "region-b": ["three"]}
WHOLE = DatabaseSeen("ok, 3 of 3 nodes live", "ok", 3, 3)
MAJORITY = DatabaseSeen("degraded, 2 of 3 nodes live", "degraded", 2, 3)
MINORITY = DatabaseSeen("down, 1 of 3 nodes live", "down", 1, 3)


def seen_from(monkeypatch: pytest.MonkeyPatch, majority: DatabaseSeen, minority: DatabaseSeen) -> None:
    """Let the two sides say this of the database."""

    async def database(target: Target, side: str) -> DatabaseSeen:
        del target
        return majority if side == "region-a" else minority

    monkeypatch.setattr(cluster_probes, "database", database)


async def test_a_kill_is_proven_only_once_the_pod_is_another() -> None:
    cluster = Cluster()
    subject, undo = injector(cluster), Undo(cluster)
    injection = await subject.inject(KILL, undo, Random(1))
    assert undo.seen == [0]  # the undo was written before there was anything to undo
    assert not (await subject.evidence(injection)).proven
    cluster.restart(injection.targets[0])
    assert (await subject.evidence(injection)).proven


async def test_an_experiment_is_a_child_of_the_ledger_so_that_it_goes_with_it() -> None:
    cluster = Cluster()
    await injector(cluster).inject(KILL, Undo(cluster), Random(1))
    (made,) = cluster.stored.values()
    assert made["metadata"]["ownerReferences"] == [OWNER]


async def test_an_experiment_that_hit_no_pod_proves_nothing_whatever_it_claims() -> None:
    cluster = Cluster(VACUOUS)
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.restart(injection.targets[0])
    assert not (await subject.evidence(injection)).proven


async def test_a_partition_ends_by_itself_goes_both_ways_and_names_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    subject = injector(cluster, sides=SIDES, longest=60)
    seen_from(monkeypatch, WHOLE, WHOLE)
    await subject.inject(CUT, Undo(cluster), Random(1))
    (made,) = cluster.stored.values()
    spec = made["spec"]
    assert (spec["direction"], spec["mode"], spec["duration"]) == ("both", "all", "180s")
    assert spec["selector"]["expressionSelectors"][0]["values"] == ["one", "two"]
    assert spec["target"]["selector"]["expressionSelectors"][0]["values"] == ["three"]


async def test_an_outage_is_disproved_by_a_connection_that_is_made() -> None:
    cluster = Cluster()
    async with listening() as server:
        subject = injector(cluster, nats=[address(server)])
        await subject.preflight(Outage(Component.NATS))
        injection = await subject.inject(Outage(Component.NATS), Undo(cluster), Random(1))
        (made,) = cluster.stored.values()
        (others,) = made["spec"]["target"]["selector"]["expressionSelectors"]
        assert "migration" not in others["values"]  # pods of ended Jobs can never be injected
        assert "scenarios" in others["values"]  # this run's own probes are the evidence
        assert not (await subject.evidence(injection)).proven
    shown = await subject.evidence(injection)
    assert shown.proven
    assert [(it.before, it.after) for it in shown.observations[1:]] == [("made", "refused")]
    assert all(it.shows_fault for it in await subject.during(injection, 0))


async def test_a_server_that_was_away_already_proves_no_outage() -> None:
    async with listening() as server:
        gone = address(server)
    cluster = Cluster()
    with pytest.raises(PreflightError, match="before anything was broken: refused"):
        await injector(cluster, nats=[gone]).preflight(Outage(Component.NATS))
    with pytest.raises(PreflightError, match="could not be shown"):
        await injector(cluster, nats=[]).preflight(Outage(Component.NATS))
    with pytest.raises(PreflightError):
        await injector(cluster, nats=[gone]).inject(Outage(Component.NATS), Undo(cluster), Random(1))
    assert cluster.stored == {}


async def test_a_partition_is_proven_by_a_majority_that_works_and_a_minority_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = injector(Cluster(), sides=SIDES)
    seen_from(monkeypatch, WHOLE, WHOLE)
    injection = await subject.inject(CUT, Undo(Cluster()), Random(1))
    assert not (await subject.evidence(injection)).proven
    silent = DatabaseSeen("no answer within 5 s", "silent")
    unknown = DatabaseSeen("connect: Name or service not known")
    for majority, minority, proven in [
        (MAJORITY, MINORITY, True),
        (MAJORITY, silent, True),
        (MAJORITY, unknown, False),
        (MAJORITY, WHOLE, False),
        (WHOLE, MINORITY, False),
        (MINORITY, MINORITY, False),
        (unknown, MINORITY, False),
    ]:
        seen_from(monkeypatch, majority, minority)
        shown = await subject.evidence(injection)
        assert shown.proven == proven, (majority, minority)
        assert [it.before for it in shown.observations[1:]] == [WHOLE.said, WHOLE.said]


async def test_a_database_that_was_not_whole_before_proves_no_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.all += [replace(pod("x", "api"), labels={**pod("x", "api").labels, REGION: it}) for it in ("one", "three")]
    subject = injector(cluster, sides=SIDES)
    seen_from(monkeypatch, MAJORITY, WHOLE)
    with pytest.raises(PreflightError, match="not whole as seen from region-a before anything was broken: degraded"):
        await subject.preflight(CUT)
    seen_from(monkeypatch, WHOLE, WHOLE)
    await subject.preflight(CUT)


async def test_a_cut_that_would_hit_no_pod_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_from(monkeypatch, WHOLE, WHOLE)
    with pytest.raises(PreflightError, match="the cut would hit nothing"):
        await injector(Cluster(), sides=SIDES).preflight(CUT)


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


async def test_rights_are_asked_for_before_anything_is_made() -> None:
    cluster = Cluster()
    cluster.forbidden = {"create", "delete"}
    with pytest.raises(PreflightError, match="may not create podchaos, delete podchaos, create networkchaos"):
        await injector(cluster).preflight(KILL)


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
    await cluster.create(experiments.pod_kill(of_run("dead", "books", "old"), ["x"]))
    await injector(cluster).preflight(KILL)
    assert cluster.stored == {}


async def test_healing_removes_this_runs_experiments_alone_and_twice_is_no_error() -> None:
    cluster = Cluster()
    await cluster.create(experiments.pod_kill(of_run("run-1", "other", "other"), ["x"]))
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    await subject.heal(injection)
    await subject.heal(injection)
    assert list(cluster.stored) == ["other"]


async def test_experiments_that_do_not_go_are_waited_for_once_reported_with_commands_and_not_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chaosmesh, "DELETION_SECONDS", 0.1)
    cluster = Cluster()
    cluster.stuck = True
    subject = injector(cluster)
    for _ in range(3):
        injection = await subject.inject(KILL, Undo(cluster), Random(1))
    began = asyncio.get_running_loop().time()
    with pytest.raises(CleanupFailed) as raised:
        await subject.heal(injection)
    assert asyncio.get_running_loop().time() - began < 0.3, "one after the other they would not be done in time"
    assert raised.value.next_step.count("cleanFinalizer=forced") == 3
    assert len(cluster.stored) == 3


def succeeded(cluster: Cluster, name: str, **changes: Any) -> None:
    """Let the pod be another one, as Kubernetes makes it after a kill."""
    cluster.all = [replace(it, uid="new", **changes) if it.name == name else it for it in cluster.all]


async def test_the_successor_of_a_killed_pod_is_cut_off_once_it_runs_and_killed_no_more() -> None:
    cluster = Cluster()
    subject = injector(cluster, longest=60)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    (victim,) = injection.targets
    succeeded(cluster, victim, ready=False, running=False)
    keeping = asyncio.create_task(subject.during(injection, 0.3))
    await asyncio.sleep(0.1)
    assert len(cluster.stored) == 1, "nobody is there yet to be cut off"
    succeeded(cluster, victim, ready=False, running=True)
    cluster.errors = [KubernetesError("timed out")]
    found = await keeping
    assert all(it.shows_fault for it in found), found
    assert "uid new cut off after" in found[0].after
    _, cut = cluster.stored.values()
    assert (cut["kind"], cut["spec"]["direction"], cut["spec"]["duration"]) == ("NetworkChaos", "both", "180s")
    assert cut["spec"]["selector"]["pods"] == {"ns": [victim]}
    (others,) = cut["spec"]["target"]["selector"]["expressionSelectors"]
    assert {"cockroachdb", "api", "relay"} <= set(others["values"])


async def test_a_cut_that_chaos_mesh_did_not_make_keeps_nobody_away() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    succeeded(cluster, injection.targets[0], ready=False)
    cluster.status = VACUOUS
    pod_seen, cut = await subject.during(injection, 0.2)
    assert [it["kind"] for it in injection.experiments] == ["PodChaos", "NetworkChaos"]
    assert pod_seen.shows_fault
    assert not cut.shows_fault


async def test_a_pod_may_be_ready_for_as_long_as_it_takes_to_notice_the_cut() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    succeeded(cluster, injection.targets[0], ready=True)
    keeping = asyncio.create_task(subject.during(injection, 0.4))
    await asyncio.sleep(0.05)
    succeeded(cluster, injection.targets[0], ready=False)
    assert (await keeping)[0].shows_fault


async def test_a_window_in_which_nobody_could_have_noticed_the_cut_shows_nothing() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    succeeded(cluster, injection.targets[0], ready=False)
    assert not (await subject.during(injection, 0.1))[0].shows_fault


async def test_a_pod_that_is_ready_when_the_window_ends_was_not_kept_away() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    succeeded(cluster, injection.targets[0], ready=False)
    keeping = asyncio.create_task(subject.during(injection, 0.5))
    await asyncio.sleep(0.45)
    succeeded(cluster, injection.targets[0], ready=True)
    assert not (await keeping)[0].shows_fault


async def test_a_pod_that_was_ready_in_the_window_disproves_the_fault() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.restart(injection.targets[0])
    seen, _ = await subject.during(injection, 0.3)
    assert not seen.shows_fault


async def test_a_pod_that_nobody_could_look_at_was_not_shown_to_be_away() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.errors = [KubernetesError("timed out") for _ in range(1000)]
    (seen,) = await subject.during(injection, 0.1)
    assert not seen.shows_fault
    assert "0 of 0 looks" in seen.after


def api_pods(cluster: Cluster, count: int, *, ready: int) -> None:
    cluster.all += [pod(f"books-api-{it}", "api", ready=it < ready) for it in range(count)]


async def test_every_one_of_the_crashes_is_shown() -> None:
    cluster = Cluster()
    cluster.kills_pods = True
    api_pods(cluster, 3, ready=3)
    subject = injector(cluster)
    injection = await subject.inject(CRASH, Undo(cluster), Random(1))
    found = await subject.during(injection, 0.1)
    assert [it.shows_fault for it in found] == [True] * 3
    assert [it["name"] for it in injection.experiments] == list(cluster.stored)
    assert len(cluster.stored) == 4


async def test_crashes_that_could_not_be_made_disprove_the_fault_and_say_why() -> None:
    """An empty list of observations would have counted as a fault that lasted."""
    cluster = Cluster()
    cluster.kills_pods = True
    api_pods(cluster, 3, ready=3)
    subject = injector(cluster)
    injection = await subject.inject(CRASH, Undo(cluster), Random(1))
    cluster.all = [replace(it, ready=it.name == "books-api-0") for it in cluster.all]
    found = await subject.during(injection, 0.05)
    assert [it.shows_fault for it in found] == [False] * 3
    assert "1 of 3 instances were ready, and one has to be left" in found[0].after
    assert len(cluster.stored) == 1


async def test_a_crash_waits_until_another_instance_is_back() -> None:
    cluster = Cluster()
    cluster.kills_pods = True
    api_pods(cluster, 2, ready=2)
    subject = injector(cluster)
    injection = await subject.inject(CRASH, Undo(cluster), Random(1))
    cluster.all = [replace(it, ready=it.name != "books-api-1") for it in cluster.all]
    crashing = asyncio.create_task(subject.during(injection, 0.05))
    await asyncio.sleep(0.03)
    assert len(cluster.stored) == 1
    cluster.all = [replace(it, ready=True) for it in cluster.all]
    assert all(it.shows_fault for it in await crashing)
    assert len(cluster.stored) == 4


async def test_one_instance_alone_is_never_crashed() -> None:
    cluster = Cluster()
    api_pods(cluster, 1, ready=1)
    with pytest.raises(NotApplicable) as raised:
        await injector(cluster).preflight(CRASH)
    assert "spec.api.replicas" in raised.value.next_step


async def test_what_kubernetes_does_not_answer_once_is_asked_again_and_what_it_refuses_is_said() -> None:
    cluster = Cluster()
    subject = injector(cluster)
    injection = await subject.inject(KILL, Undo(cluster), Random(1))
    cluster.restart(injection.targets[0])
    cluster.errors = [KubernetesError("timed out"), KubernetesError("forbidden", 403)]
    assert not (await subject.evidence(injection)).proven
    with pytest.raises(InjectionError, match="forbidden"):
        await subject.evidence(injection)
    assert (await subject.evidence(injection)).proven


def test_an_experiment_that_no_controller_looks_at_says_so() -> None:
    untouched = experiments.read({"metadata": {"name": "cut", "namespace": "ns"}}, "NetworkChaos")
    assert untouched.injected() == (False, "no word of Chaos Mesh: does its controller run?")


def test_an_experiment_that_hit_no_pod_says_what_the_namespace_may_lack() -> None:
    """As Chaos Mesh 2.x leaves an experiment whose selector matched nothing."""
    conditions = [
        {"type": "Paused", "status": "False"},
        {"type": "Selected", "status": "True"},
        {"type": "AllInjected", "status": "True"},
        {"type": "AllRecovered", "status": "True"},
    ]
    status = {"conditions": conditions, "experiment": {"desiredPhase": "Run"}}
    at_work, said = experiments.read({"metadata": {"name": "c", "namespace": "n"}, "status": status}, "X").injected()
    assert not at_work
    assert "AllInjected=True, 0 pods hit" in said
    assert "chaos-mesh.org/inject=enabled" in said


def test_a_field_that_an_older_chaos_mesh_drops_is_found() -> None:
    made = experiments.partition(of_run("r", "l", "n"), Selector(["ns"]), Selector(["ns"]), 60).manifest()["spec"]
    assert experiments.dropped(made, made) == []
    assert experiments.dropped(made, {**made, "mode": "", "gracePeriod": 0}) == []
    kept = {key: value for key, value in made.items() if key != "direction"}
    assert experiments.dropped(made, {**kept, "target": {"mode": "all"}}) == ["spec.target.selector", "spec.direction"]


def stranger(name: str, component: str) -> PodState:
    """A pod of another chart that is released under the ledger's name."""
    mine = pod(name, component)
    return replace(mine, labels={key: value for key, value in mine.labels.items() if key != UID})


async def test_a_pod_of_another_chart_of_the_same_name_is_neither_killed_nor_counted() -> None:
    cluster = Cluster()
    cluster.all = [pod("books-cockroachdb-0", "cockroachdb"), *(stranger(f"z-{it}", "cockroachdb") for it in range(9))]
    subject = injector(cluster)
    await subject.preflight(KILL)
    for seed in range(20):
        assert (await subject.inject(KILL, Undo(cluster), Random(seed))).targets == ("books-cockroachdb-0",)
    cluster.all[0] = replace(cluster.all[0], labels={**cluster.all[0].labels, UID: "of an earlier ledger"})
    with pytest.raises(PreflightError, match="0 of 0"):
        await subject.preflight(KILL)


async def test_every_selector_of_a_cut_asks_for_the_ledgers_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    seen_from(monkeypatch, WHOLE, WHOLE)
    async with listening() as server:
        subject = injector(cluster, sides=SIDES, nats=[address(server)])
        await subject.inject(CUT, Undo(cluster), Random(1))
        await subject.inject(Outage(Component.NATS), Undo(cluster), Random(1))
    for made in cluster.stored.values():
        for selector in (made["spec"]["selector"], made["spec"]["target"]["selector"]):
            assert selector["labelSelectors"][UID] == "u"
            assert "app.kubernetes.io/instance" not in selector["labelSelectors"]


def of_somebody(spec: dict[str, Any], kind: str = "NetworkChaos", **more: Any) -> dict[str, Any]:
    """An experiment that no run made."""
    return {"kind": kind, "metadata": {"name": "theirs", "namespace": "ns", "labels": {}}, "spec": spec, **more}


INSTANCE = {"labelSelectors": {"app.kubernetes.io/instance": "books"}}
IDLE = {"conditions": [{"type": "AllInjected", "status": "True"}, {"type": "AllRecovered", "status": "True"}]}
RECORDED = {"experiment": {"containerRecords": [{"id": "ns/books-nats-1/nats", "phase": "Injected"}]}}


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        (of_somebody({"selector": INSTANCE}), "NetworkChaos theirs on pod books-cockroachdb-0 and 5 more"),
        (of_somebody({"selector": INSTANCE}, status=IDLE), "and 5 more"),
        (of_somebody({"selector": {}}, "StressChaos"), "StressChaos theirs on pod books-cockroachdb-0"),
        (of_somebody({"selector": {"pods": {"ns": ["books-nats-2"]}}}, "PodChaos"), "theirs on pod books-nats-2"),
        (of_somebody({"selector": {"pods": {"ns": ["x"]}}, "target": {"selector": INSTANCE}}), "and 5 more"),
        (
            of_somebody({"selector": {"expressionSelectors": [{"key": UID, "operator": "Exists"}]}}, "IOChaos"),
            "IOChaos theirs",
        ),
        (of_somebody({"selector": {"labelSelectors": {"role": "bus"}}}, status=RECORDED), "theirs on pod books-nats-1"),
    ],
)
async def test_somebody_elses_experiment_on_the_same_pods_is_named_and_left_alone(theirs: Any, named: str) -> None:
    cluster = Cluster()
    cluster.stored["theirs"] = theirs
    with pytest.raises(PreflightError) as raised:
        await injector(cluster).preflight(KILL)
    assert named in str(raised.value)
    plural = f"{theirs['kind'].lower()} theirs"
    assert f"kubectl -n ns delete {plural}" in raised.value.next_step
    assert list(cluster.stored) == ["theirs"]


@pytest.mark.parametrize(
    "theirs",
    [
        of_somebody({"selector": {"labelSelectors": {"app": "web"}}}),
        of_somebody({"selector": {"namespaces": ["elsewhere"], **INSTANCE}}),
        of_somebody({"selector": {"pods": {"ns": ["web-0"]}, **INSTANCE}}),
        of_somebody({"selector": {"pods": {"elsewhere": ["books-nats-0"]}}}),
        of_somebody({"selector": {"expressionSelectors": [{"key": UID, "operator": "DoesNotExist"}]}}),
        of_somebody({"selector": {"expressionSelectors": [{"key": UID, "operator": "NotIn", "values": ["u"]}]}}),
        of_somebody({"selector": INSTANCE}, status={"conditions": [{"type": "Paused", "status": "True"}]}),
        of_somebody({"selector": INSTANCE}, status={**IDLE, "experiment": {"desiredPhase": "Stop"}}),
        of_somebody({"action": "pod-kill", "selector": INSTANCE}, "PodChaos", status=INJECTED),
    ],
)
async def test_an_experiment_that_hits_no_pod_of_the_ledger_or_is_over_keeps_no_run_from_starting(theirs: Any) -> None:
    cluster = Cluster()
    cluster.stored["theirs"] = theirs
    await injector(cluster).preflight(KILL)
    assert list(cluster.stored) == ["theirs"]


async def test_an_experiment_that_only_bears_the_ledgers_name_is_not_swept() -> None:
    cluster = Cluster()
    theirs = of_somebody({"selector": {"pods": {"ns": ["web-0"]}}})
    theirs["metadata"]["labels"] = {LEDGER: "books"}
    cluster.stored["theirs"] = theirs
    subject = injector(cluster)
    await subject.preflight(KILL)
    await subject.heal(await subject.inject(KILL, Undo(cluster), Random(1)))
    assert list(cluster.stored) == ["theirs"]


async def test_a_kind_that_may_not_be_looked_at_keeps_no_run_from_starting() -> None:
    class Strict(Cluster):
        async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Experiment]:
            if kind not in ("PodChaos", "NetworkChaos"):
                raise KubernetesError("forbidden", 403)
            return await super().experiments(kind, labels)

    await injector(Strict()).preflight(KILL)
