"""What the injector believes about the compose stack is what the compose file says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.injectors.compose.cut import CHAIN, HELPER_IMAGE, REMOVE, insertion
from chronicle_chaos.injectors.compose.names import CONTAINERS, EVERY, REGIONS, compose_target

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the compose file."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"])


def test_every_container_of_the_injector_is_a_service_of_that_name(services: dict[str, Any]) -> None:
    assert set(EVERY) <= set(services)
    assert {name for names in CONTAINERS.values() for name in names} <= set(EVERY)


def test_two_projects_have_no_name_in_common(services: dict[str, Any]) -> None:
    for service, told in services.items():
        name = told.get("container_name", "")
        short = service.removeprefix("chronicle")
        assert not name or name == f"${{COMPOSE_PROJECT_NAME:-chronicle}}{short}", service
    whole = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert not any((it or {}).get("name") for it in whole["volumes"].values())
    assert "networks" not in whole, "with a subnet of its own, or a name, a second one could not be made"


def test_no_service_but_the_balancer_and_the_one_shots_is_outside_the_regions(services: dict[str, Any]) -> None:
    assert set(services) - set(EVERY) == {"chronicle-lb", "chronicle-init", "chronicle-migrate", "chronicle-cut"}


def test_each_node_and_instance_is_in_the_region_that_the_injector_says(services: dict[str, Any]) -> None:
    for region, names in REGIONS.items():
        for name in names:
            if name in CONTAINERS[Component.COCKROACH]:
                assert f"--locality=region={region}" in services[name]["command"]
                assert f"--advertise-addr={name}:26257" in services[name]["command"]
            elif name not in CONTAINERS[Component.NATS]:
                assert services[name]["environment"]["CHRONICLE_REGION"] == region


def test_an_instance_of_the_api_knows_the_nodes_of_its_own_region_alone(services: dict[str, Any]) -> None:
    for names in REGIONS.values():
        own = {n for n in names if n in CONTAINERS[Component.COCKROACH]}
        for name in (n for n in names if n in CONTAINERS[Component.API]):
            url = services[name]["environment"]["CHRONICLE_DATABASE_URL"]
            assert {n for n in CONTAINERS[Component.COCKROACH] if n in url} == own


def test_only_the_balancer_publishes_a_port_and_on_loopback(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(published) == ["chronicle-lb"]
    assert all(port.startswith("127.0.0.1:") for port in published["chronicle-lb"])


def test_no_service_may_take_the_whole_machine(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service.get("mem_limit"), f"{name}: no limit of memory"
        assert service.get("cpus"), f"{name}: no limit of processors"


def test_what_cuts_is_built_from_this_project_and_never_started(services: dict[str, Any]) -> None:
    cut = services["chronicle-cut"]
    assert (cut["build"]["target"], cut["profiles"]) == ("cut", ["cut"])
    assert cut["image"] == HELPER_IMAGE
    assert "\nFROM ${PYTHON_IMAGE} AS cut\n" in (ROOT / "Dockerfile").read_text()
    assert "--target cut" in (ROOT / "scripts/build-image.sh").read_text()


def test_the_target_reaches_each_region_through_the_one_port() -> None:
    target = compose_target("http://127.0.0.1:8080")
    assert {name: len(urls) for name, urls in target.regions.items()} == {"region-a": 2, "region-b": 1}
    assert all(url.startswith(target.url) for urls in target.regions.values() for url in urls)


def test_a_cut_drops_both_directions_of_every_address_and_both_scripts_are_shell() -> None:
    script = insertion(["172.20.0.4", "fd00::4"])
    for table, address in (("iptables", "172.20.0.4"), ("ip6tables", "fd00::4")):
        for side in ("-s", "-d"):
            assert f"{table} -w -A {CHAIN} {side} {address} -j DROP" in script
        for hook in ("INPUT", "OUTPUT"):
            assert f"{table} -w -I {hook} 1 -j {CHAIN}" in script
    for text in (script, REMOVE):
        subprocess.run(["sh", "-n", "-c", text], check=True)
