"""What the injector asks Docker for, what it takes as proof, and that it takes back all that it can."""

from __future__ import annotations

from random import Random

import pytest

from chronicle_chaos.faults import crashes as crashing
from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.compose import hands as compose
from chronicle_chaos.injectors.compose.cut import Cut
from chronicle_chaos.injectors.compose.injector import ComposeInjector
from chronicle_chaos.injectors.compose.names import CONTAINERS, REGIONS
from chronicle_chaos.injectors.compose.probes import Probes
from chronicle_chaos.injectors.injection import CleanupFailed, Injection, InjectionError, PreflightError
from support.fake_control import Undone
from support.fake_docker import FakeDocker, Stack

MINORITY = set(REGIONS["region-b"])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crashed container is away for a moment only."""
    monkeypatch.setattr(compose, "DOWN_SECONDS", 0.01)
    monkeypatch.setattr(crashing, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(crashing, "POLL_SECONDS", 0.01)


def injector_of(stack: Stack) -> ComposeInjector:
    docker = FakeDocker(stack=stack)
    return ComposeInjector(docker, Cut(docker, "helper"))


async def test_a_killed_node_is_gone_and_its_port_too_until_it_is_healed() -> None:
    stack = Stack()
    injector = injector_of(stack)
    undo = Undone()
    kill = await injector.inject(NodeKill(Component.COCKROACH), undo, Random(1))
    assert kill.targets == ("chronicle-cockroach-2",)
    assert undo.entries == [{"start": ["chronicle-cockroach-2"]}]
    evidence = await injector.evidence(kill)
    assert evidence.proven
    assert "chronicle-cockroach-1 20, chronicle-cockroach-2 30" in evidence.observations[0].before
    assert not (await injector.healed(kill)).proven
    await injector.heal(kill)
    assert not stack.stopped
    assert (await injector.healed(kill)).proven
    assert not (await injector.evidence(kill)).proven


async def test_a_kill_that_hits_nothing_is_no_proof() -> None:
    stack = Stack()
    injector = injector_of(stack)
    kill = await injector.inject(NodeKill(Component.COCKROACH), Undone(), Random(1))
    stack.stopped.clear()  # the daemon restarted it before anybody looked
    assert not (await injector.evidence(kill)).proven


async def test_an_outage_stops_all_and_healing_starts_them_and_what_is_paused() -> None:
    stack = Stack()
    injector = injector_of(stack)
    outage = await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    assert stack.stopped == set(CONTAINERS[Component.NATS])
    assert (await injector.evidence(outage)).proven
    stack.paused.add("chronicle-api-1")
    await injector.heal(Injection(Outage(Component.NATS), ()))
    assert (stack.stopped, stack.paused) == (set(), set())


async def test_a_cut_goes_both_ways_and_leaves_each_half_whole() -> None:
    stack = Stack()
    injector = injector_of(stack)
    cut = await injector.inject(Partition(), Undone(), Random(1))
    assert stack.cut == MINORITY
    evidence = await injector.evidence(cut)
    assert evidence.proven
    within = [o for o in evidence.observations if "within its region" in o.subject]
    assert {o.after for o in within} == {"connected"}
    assert {o.after for o in evidence.observations if o not in within} == {"timed out"}
    live = [o.subject for o in evidence.observations if "from before" in o.subject]
    assert len(live) == 6, "two nodes and two servers of one region, one of each of the other"
    assert not (await injector.healed(cut)).proven
    await injector.heal(cut)
    assert (stack.cut, stack.holding) == (set(), 0)
    assert (await injector.healed(cut)).proven


async def test_a_cut_that_spares_connections_from_before_is_no_proof() -> None:
    stack = Stack(spares=True)
    injector = injector_of(stack)
    cut = await injector.inject(Partition(), Undone(), Random(1))
    spared = [o for o in (await injector.evidence(cut)).observations if not o.shows_fault]
    assert {o.after for o in spared} == {"answers"}
    assert len(spared) == 6


async def test_a_cut_that_cannot_be_put_in_lets_go_of_what_it_held() -> None:
    stack = Stack(failing={"iptables chronicle-api-3"})
    with pytest.raises(InjectionError, match="iptables in chronicle-api-3"):
        await injector_of(stack).inject(Partition(), Undone(), Random(1))
    assert stack.holding == 0


async def test_a_cut_that_cuts_too_much_is_no_proof() -> None:
    stack = Stack()
    injector = injector_of(stack)
    cut = await injector.inject(Partition(), Undone(), Random(1))
    stack.stopped.add("chronicle-cockroach-2")
    assert not (await injector.evidence(cut)).proven


async def test_every_crash_is_done_one_at_a_time_and_shows_another_process() -> None:
    stack = Stack()
    injector = injector_of(stack)
    undo = Undone()
    crash = await injector.inject(Crashes(Component.API, times=4), undo, Random(1))
    assert undo.entries == [{"start": list(CONTAINERS[Component.API])}]
    assert (await injector.evidence(crash)).proven
    others = await injector.during(crash, 0.2)
    assert [o.shows_fault for o in others] == [True] * 3
    assert sum(call.startswith("kill ") for call in stack.calls) == 4
    assert not stack.stopped


async def test_a_crash_that_could_not_be_done_is_shown_not_to_be() -> None:
    stack = Stack()
    injector = injector_of(stack)
    crash = await injector.inject(Crashes(Component.API, times=4), Undone(), Random(1))
    stack.unready |= set(CONTAINERS[Component.API][1:])
    others = await injector.during(crash, 0.2)
    assert [(o.subject, o.shows_fault) for o in others] == [(f"crash {n}", False) for n in (2, 3, 4)]
    assert f"1 of {len(CONTAINERS[Component.API])} instances were ready" in others[0].after
    assert sum(call.startswith("kill ") for call in stack.calls) == 1


async def test_an_instance_that_is_not_ready_is_not_the_one_that_crashes() -> None:
    stack = Stack()
    injector = injector_of(stack)
    crash = await injector.inject(Crashes(Component.API, times=4), Undone(), Random(1))
    stack.unready.add("chronicle-api-2")
    others = await injector.during(crash, 0.2)
    assert [o.shows_fault for o in others] == [True] * 3
    assert not any(o.subject.startswith("chronicle-api-2,") for o in others)


async def test_a_container_that_does_not_start_keeps_no_other_down() -> None:
    stack = Stack()
    injector = injector_of(stack)
    await injector.inject(Partition(), Undone(), Random(1))
    await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    stack.failing |= {"start chronicle-nats-1", "iptables chronicle-api-3"}
    with pytest.raises(CleanupFailed) as left:
        await injector.heal(Injection(Partition(), ()))
    assert stack.cut == {"chronicle-api-3"}
    assert stack.stopped == {"chronicle-nats-1"}
    assert "chronicle-nats-1: docker start chronicle-nats-1: cannot start" in str(left.value)
    assert "the cut in chronicle-api-3" in str(left.value)
    assert left.value.next_step == "docker compose restart chronicle-api-3; docker compose start chronicle-nats-1"


async def test_two_that_do_not_start_are_one_command() -> None:
    stack = Stack(failing={"start chronicle-nats-1", "start chronicle-nats-3"})
    injector = injector_of(stack)
    outage = await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    with pytest.raises(CleanupFailed) as left:
        await injector.heal(outage)
    assert left.value.next_step == "docker compose start chronicle-nats-1 chronicle-nats-3"


@pytest.mark.parametrize("fault", [NodeKill(Component.COCKROACH), Outage(Component.NATS), Partition()])
async def test_preflight_sweeps_a_cut_that_a_killed_run_left_whatever_the_fault(
    fault: NodeKill | Outage | Partition,
) -> None:
    stack = Stack(cut=set(MINORITY), paused={"chronicle-api-1"}, stopped={"chronicle-nats-2"})
    await injector_of(stack).preflight(fault)
    assert (stack.cut, stack.paused, stack.stopped) == (set(), set(), set())


async def test_a_fault_that_cuts_nothing_needs_no_helper_image() -> None:
    stack = Stack(helper_image=False)
    await injector_of(stack).preflight(Outage(Component.NATS))
    with pytest.raises(PreflightError, match="there is no image helper") as refusal:
        await injector_of(stack).preflight(Partition())
    assert "make image" in refusal.value.next_step
    assert not any(call.startswith("pull") for call in stack.calls), "not in the middle of a run"


async def test_where_a_holder_of_leases_is_unknown_none_is_killed() -> None:
    stack = Stack(leases=((7, 40), (1, 20)))
    with pytest.raises(InjectionError, match="nobody knows CockroachDB node 7"):
        await injector_of(stack).inject(NodeKill(Component.COCKROACH), Undone(), Random(1))
    stack.stopped |= set(CONTAINERS[Component.COCKROACH])
    with pytest.raises(InjectionError, match="no CockroachDB node answers"):
        await injector_of(stack).inject(NodeKill(Component.COCKROACH), Undone(), Random(1))
    assert not any(call.startswith("kill") for call in stack.calls)


async def test_a_database_that_closes_its_internal_tables_is_asked_to_open_them_for_the_question() -> None:
    stack = Stack(closed=True)
    asked = Probes(FakeDocker(stack=stack)), Probes(FakeDocker(stack=Stack()))
    assert await asked[0].leases() == await asked[1].leases() != {}


async def test_of_two_stacks_the_one_that_is_meant_is_broken_and_healed() -> None:
    stack = Stack(project="second")
    docker = FakeDocker(stack=stack, project="second")
    injector = ComposeInjector(docker, Cut(docker, "helper"))
    await injector.preflight(Partition())
    cut = await injector.inject(Partition(), Undone(), Random(1))
    assert (await injector.evidence(cut)).proven
    await injector.heal(cut)
    outage = await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    assert (await injector.evidence(outage)).proven
    await injector.heal(outage)
    assert (stack.cut, stack.stopped) == (set(), set())
    other = FakeDocker(stack=stack, project="third")
    with pytest.raises(PreflightError, match="the project third has no container"):
        await ComposeInjector(other, Cut(other, "helper")).preflight(Partition())
