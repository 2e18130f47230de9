"""What the services of `docker-compose.yml` are called, and in which region each is (a test compares)."""

from __future__ import annotations

from collections.abc import Mapping

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.injectors.compose.docker import PROJECT
from chronicle_chaos.target import Target

CONTAINERS: Mapping[Component, tuple[str, ...]] = {
    Component.COCKROACH: ("chronicle-cockroach-1", "chronicle-cockroach-2", "chronicle-cockroach-3"),
    Component.NATS: ("chronicle-nats-1", "chronicle-nats-2", "chronicle-nats-3"),
    Component.API: ("chronicle-api-1", "chronicle-api-2", "chronicle-api-3"),
}

REGIONS: Mapping[str, tuple[str, ...]] = {
    "region-a": (
        "chronicle-cockroach-1", "chronicle-cockroach-2", "chronicle-nats-1", "chronicle-nats-2",
        "chronicle-api-1", "chronicle-api-2", "chronicle-relay", "chronicle-projector",
    ),
    "region-b": ("chronicle-cockroach-3", "chronicle-nats-3", "chronicle-api-3"),
}  # fmt: skip

MINORITY = "region-b"
"""The region whose containers get the rules of a cut."""

PORTS: Mapping[Component, int] = {Component.COCKROACH: 26257, Component.NATS: 4222, Component.API: 8080}

EVERY = tuple(name for names in REGIONS.values() for name in names)


def compose_target(url: str, project: str = PROJECT) -> Target:
    """Return the target behind the load balancer at `url`, which leads to each instance under `/instances/NAME`.

    One published port is enough so, and it works where containers' addresses cannot be reached from the host.
    """
    regions = {
        region: tuple(f"{url}/instances/{name}" for name in names if name in CONTAINERS[Component.API])
        for region, names in REGIONS.items()
    }
    return Target("compose", url, regions, "cockroachdb", details={"project": project})
