"""Who reaches whom, and by which port, and what each node is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from chronicle_chaos.local.patroni import configuration
from chronicle_chaos.local.patroni.configuration import Secrets
from chronicle_chaos.local.patroni.layout import Layout, number_of_ports
from chronicle_chaos.local.patroni.member import crossed
from chronicle_chaos.local.plan import PLACEMENT

PORTS = list(range(20_001, 20_001 + number_of_ports(PLACEMENT)))
LAYOUT = Layout.on(PORTS, PLACEMENT)
SECRETS = Secrets("super", "copy", "back", "rest")


def test_the_ports_are_those_that_were_given_each_once() -> None:
    assert LAYOUT.ports == PORTS
    assert len(set(PORTS)) == len(PORTS)


def test_what_a_node_reaches_in_the_other_region_it_reaches_through_a_proxy() -> None:
    for viewer in LAYOUT.nodes:
        crossings = LAYOUT.crossings(viewer)
        for other in LAYOUT.nodes:
            across = other.region != viewer.region
            assert (other.postgres in crossings, other.rest in crossings, other.peer in crossings) == (across,) * 3
            if across:
                assert LAYOUT.routes[crossings[other.postgres]] == other.postgres


def test_etcd_has_a_way_across_through_proxies_alone() -> None:
    """The lone node is known by its proxy; it dials the others by the outlet, which Go uses for this address."""
    one, two, three = LAYOUT.nodes
    assert LAYOUT.alone is three
    assert LAYOUT.peer_url(three) == f"http://127.0.0.1:{three.crossing_peer}"
    assert [LAYOUT.peer_url(node) for node in (one, two)] == [f"http://0.0.0.0:{node.peer}" for node in (one, two)]
    environments = [configuration.etcd_environment(node, LAYOUT) for node in LAYOUT.nodes]
    assert environments == [{}, {}, {"HTTP_PROXY": f"socks5://127.0.0.1:{LAYOUT.outlet}"}]


def test_every_etcd_is_told_the_same_members() -> None:
    told = [configuration.etcd(node, LAYOUT, Path("/home")) for node in LAYOUT.nodes]
    assert len({arguments[arguments.index("--initial-cluster") + 1] for arguments in told}) == 1


@pytest.mark.parametrize(("region", "first", "begins"), [("region-a", 0, 0), ("region-a", 1, 1), ("region-b", 1, 2)])
def test_a_client_looks_for_the_primary_at_its_own_nodes_first_and_across_by_proxies(
    region: str, first: int, begins: int
) -> None:
    url = LAYOUT.url(region, "chronicle", "secret", first=first)
    hosts = url.split("@")[1].split("/")[0].split(",")
    assert hosts[0] == f"127.0.0.1:{LAYOUT.nodes[begins].postgres}"
    own = [node.postgres for node in LAYOUT.nodes if node.region == region]
    across = [node.crossing_postgres for node in LAYOUT.nodes if node.region != region]
    assert {int(host.split(":")[1]) for host in hosts} == {*own, *across}
    assert url.endswith("?target_session_attrs=read-write")


def test_a_commit_waits_for_a_standby_and_no_other_becomes_the_primary() -> None:
    told = configuration.patroni(LAYOUT.nodes[0], Path("/home"), Path("/bin"), SECRETS)["bootstrap"]["dcs"]
    assert told["synchronous_mode"] == "quorum"
    assert told["synchronous_mode_strict"] is True
    assert told["failsafe_mode"] is False
    # Patroni refuses anything else, and would take its own times instead (15, 10, 30).
    assert told["loop_wait"] + 2 * told["retry_timeout"] <= told["ttl"]


def test_the_control_waits_for_no_standby() -> None:
    told = configuration.patroni(LAYOUT.nodes[0], Path("/home"), Path("/bin"), SECRETS, synchronous=False)
    assert told["bootstrap"]["dcs"]["synchronous_mode"] is False


def test_patroni_asks_its_own_etcd_alone_and_postgresql_lets_nobody_in_without_a_password() -> None:
    node = LAYOUT.nodes[1]
    told = configuration.patroni(node, Path("/home"), Path("/bin"), SECRETS)
    assert told["etcd3"] == {"hosts": [f"127.0.0.1:{node.client}"], "use_proxies": True}
    assert all(line.endswith("scram-sha-256") for line in told["postgresql"]["pg_hba"])
    assert told["postgresql"]["parameters"]["unix_socket_directories"] == ""


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgres://127.0.0.1:7001/postgres", "postgres://127.0.0.1:9001/postgres"),
        ("http://127.0.0.1:7001/patroni", "http://127.0.0.1:9001/patroni"),
        ("http://127.0.0.1:7002/patroni", "http://127.0.0.1:7002/patroni"),
        ("postgres:///postgres", "postgres:///postgres"),
    ],
)
def test_a_member_is_seen_at_the_port_by_which_it_is_reached_from_here(url: str, seen: str) -> None:
    assert crossed(url, {7001: 9001}) == seen
