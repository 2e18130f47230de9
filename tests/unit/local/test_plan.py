"""Who reaches whom: inside a region directly, between regions through a proxy and in no other way."""

from __future__ import annotations

import itertools

from chronicle_chaos.local.plan import PLACEMENT, REGION_A, REGION_B, make_plan


def _ports(number: int) -> list[int]:
    return list(range(1000, 1000 + number))


def test_two_of_three_are_in_region_a() -> None:
    plan = make_plan(_ports)
    assert [node.region for node in plan.cockroach] == [REGION_A, REGION_A, REGION_B]
    assert [region for _, region, _ in plan.apis] == [REGION_A, REGION_A, REGION_B]
    assert {(role, region) for _, role, region, _ in plan.workers} == set(
        itertools.product(("relay", "projector"), (REGION_A, REGION_B))
    )


def test_database_nodes_join_neighbours_directly_and_the_other_region_through_its_proxies() -> None:
    plan = make_plan(_ports)
    for here, there in itertools.permutations(plan.cockroach, 2):
        reached = {plan.routes.get(port, port) for port in here.join}
        assert there.port in reached, f"{here.name} does not join {there.name}"
        assert (there.port in here.join) == (here.region == there.region)
        assert plan.routes[there.advertised] == there.port


def test_nats_servers_dial_neighbours_directly_and_the_other_region_through_its_proxies() -> None:
    plan = make_plan(_ports)
    for (here, region), (there, other) in itertools.permutations(zip(plan.nats, PLACEMENT, strict=True), 2):
        assert there.route in {plan.routes.get(port, port) for port in here.peers}
        assert (there.route in here.peers) == (region == other)
        assert plan.routes[there.advertised] == there.route


def test_no_port_is_given_twice_and_a_wanted_one_is_the_load_balancers() -> None:
    plan = make_plan(_ports, load_balancer=8080)
    ports = [plan.load_balancer, *plan.routes, *(port for _, _, port in plan.apis), *(w[3] for w in plan.workers)]
    ports += [port for node in plan.cockroach for port in (node.port, node.http)]
    ports += [port for node in plan.nats for port in (node.client, node.monitor, node.route)]
    assert len(set(ports)) == len(ports)
    assert plan.load_balancer == 8080
