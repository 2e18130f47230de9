"""Autoscaling is switched on, off and through hibernation without a replica too few."""

from __future__ import annotations

import pytest

from chronicle_operator.kube import kinds
from support.memory_kube import Object
from support.operator_world import World

SCALING = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}
AUTOSCALER = next(it for it in kinds.CHILDREN if it.kind == "HorizontalPodAutoscaler")
REPLICAS = ("spec", "replicas")


def api(world: World) -> Object:
    return world.kube.find(kinds.DEPLOYMENT, "main-api")


def replicas(world: World) -> int:
    return int(api(world)["spec"]["replicas"])


def scale(world: World, count: int) -> None:
    """Do what the autoscaler does."""
    world.kube.edit(api(world), REPLICAS, count, manager="kube-controller-manager", subresource="scale")


async def ready(**api: object) -> World:
    world = World(api=api)
    await world.settle()
    return world


async def test_the_replicas_stay_as_they_are_until_the_autoscaler_has_set_them() -> None:
    world = await ready(replicas=6)
    world.edit(api={"replicas": 6, **SCALING})
    for _ in range(3):
        await world.reconcile()
        assert replicas(world) == 6
    scale(world, 4)
    for _ in range(3):
        await world.reconcile()
        assert replicas(world) == 4
    scale(world, 7)
    await world.reconcile()
    assert replicas(world) == 7


async def test_an_operator_that_starts_anew_in_between_takes_nothing_away() -> None:
    world = await ready(replicas=6)
    world.edit(api={"replicas": 6, **SCALING})
    await world.reconcile()
    world.restart()
    await world.reconcile()
    assert replicas(world) == 6
    scale(world, 5)
    world.restart()
    await world.reconcile()
    assert replicas(world) == 5


async def test_a_new_ledger_begins_with_the_autoscalers_minimum() -> None:
    world = await ready(**SCALING)
    assert replicas(world) == 2


async def test_without_its_autoscaler_the_api_has_the_replicas_of_the_spec_again() -> None:
    world = await ready(replicas=3, **SCALING)
    scale(world, 7)
    world.edit(api={"replicas": 3})
    await world.settle()
    assert replicas(world) == 3
    assert world.kube.of(AUTOSCALER) == []


@pytest.mark.parametrize("scaled", [False, True])
async def test_a_ledger_wakes_with_the_autoscalers_minimum_for_from_zero_none_would_scale(scaled: bool) -> None:
    world = await ready(**SCALING)
    if scaled:
        scale(world, 5)
    world.edit(reconciliation="Hibernated")
    await world.settle()
    assert replicas(world) == 0
    world.edit(reconciliation="Active")
    await world.settle()
    assert replicas(world) == 2
