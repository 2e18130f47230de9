"""A database node that stops and hands over nothing is told of; the grace of its pod is what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.day2 import draining
from chronicle_operator.kube import kinds
from chronicle_operator.observe.nodes import Node, Nodes, parse
from support.memory_kube import Object
from support.operator_objects import NOW, pod
from support.operator_world import World

PATIENCE = draining.PATIENCE_SECONDS


def stopping(number: int) -> Object:
    """A database pod that was asked to stop and is still draining."""
    return pod("db", number, leaving=True)


def nodes(*leases: int | None) -> Nodes:
    """What the nodes say; None for one that is silent."""
    return Nodes({f"db-{n}": None if it is None else Node(n + 1, 0, 0, 40, it) for n, it in enumerate(leases)})


def after(seconds: float, pods: list[Object], *said: Nodes) -> list[draining.Stuck]:
    """What is stuck after this time, in which the nodes said all of this, evenly spread."""
    seen: draining.Drains = {}
    for step, one in enumerate(said):
        seen = draining.look(pods, one, seen, NOW + timedelta(seconds=seconds * step / max(1, len(said) - 1)))
    return draining.stuck(pods, seen, NOW + timedelta(seconds=seconds))


ONE = [pod("db", 0), pod("db", 1), stopping(2)]


def test_a_drain_that_gets_on_is_left_alone_however_long_it_takes() -> None:
    said = [nodes(9, 9, left) for left in range(40, 0, -1)]
    assert after(20 * PATIENCE, ONE, *said) == []


def test_a_drain_is_told_of_once_it_has_got_nowhere_for_a_while_with_its_end() -> None:
    assert after(PATIENCE - 1, ONE, nodes(9, 9, 8), nodes(9, 9, 8)) == []
    (found,) = after(PATIENCE, ONE, nodes(9, 9, 8), nodes(9, 9, 8))
    ends = ONE[2]["metadata"]["deletionTimestamp"]
    assert found.pod == "db-2"
    assert found.message == (
        "db-2 is stopping and has handed over none of the 8 leases left for 20 s;"
        f" it is killed when its grace ends at {ends}, which loses nothing"
    )


def test_a_node_that_leads_on_without_a_lease_is_told_of() -> None:
    (found,) = after(PATIENCE, ONE, nodes(9, 9, 0), nodes(9, 9, 0))
    assert "none of the Raft groups that it leads" in found.message


def test_more_leases_than_before_are_no_progress() -> None:
    assert after(PATIENCE, ONE, nodes(9, 9, 8), nodes(9, 9, 12), nodes(9, 9, 9)) != []


def test_a_node_that_says_nothing_is_no_further() -> None:
    (found,) = after(2 * PATIENCE, ONE, nodes(9, 9, None), nodes(9, 9, None))
    assert "none of its leases for 40 s" in found.message
    assert after(PATIENCE, ONE, nodes(9, 9, None), nodes(9, 9, 3), nodes(9, 9, 3)) == []


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([pod("db", 0), pod("db", 1, ready=False), stopping(2)], ", db-1 is not ready;"),
        ([pod("db", 0), stopping(1), stopping(2)], ", since more than half of the nodes are stopping;"),
    ],
)
def test_what_keeps_a_drain_from_getting_on_is_named(pods: list[Object], why: str) -> None:
    assert why in after(PATIENCE, pods, nodes(9, 9, 8), nodes(9, 9, 8))[-1].message


def test_the_leases_are_on_the_nodes_page() -> None:
    page = 'replicas{store="1"} 40\nreplicas_leaseholders{store="1"} 7\nreplicas_leaders{store="1"} 9\nnode_id 2\n'
    assert parse(page) == Node(2, 0, 0, 40, 7)


def test_a_drain_that_never_ends_costs_a_minute_at_most_unless_more_is_asked_for() -> None:
    assert ChronicleLedgerSpec().cockroachdb.termination_grace_period_seconds == 60
    assert PATIENCE < 60, "it could not be told of before it is over"


@pytest.mark.parametrize("numbers", [(1,), (0, 1, 2)])
async def test_a_stuck_drain_is_progress_in_the_status(numbers: tuple[int, ...]) -> None:
    world = World()
    await world.settle()
    for number in numbers:
        world.kube.find(kinds.POD, f"main-cockroachdb-{number}")["metadata"]["deletionTimestamp"] = (
            "2026-03-01T12:05:00Z"
        )
    there = {it["metadata"]["name"] for it in world.kube.of(kinds.POD)}
    await world.reconcile()
    assert world.condition("Progressing")["reason"] != "Drain"
    world.now += timedelta(seconds=PATIENCE)
    await world.reconcile()
    assert world.condition("Progressing")["reason"] == "Drain"
    assert world.ledger["status"]["cockroachdb"]["operation"]["pod"] == f"main-cockroachdb-{numbers[0]}"
    assert {it["metadata"]["name"] for it in world.kube.of(kinds.POD)} == there, "the operator takes no pod away"
