"""What a local cluster consists of: regions, ports, and who reaches whom through a proxy. Pure, but for free ports.

Region A has two of three database nodes, two of three NATS servers and two of three API replicas; region B has the
third of each. Whatever crosses between the regions goes through a proxy; clients and the load balancer do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chronicle_chaos.local.cockroach import CockroachNode
from chronicle_chaos.local.nats import NatsNode

REGION_A = "region-a"
REGION_B = "region-b"
PLACEMENT = (REGION_A, REGION_A, REGION_B)


@dataclass(frozen=True, slots=True)
class Plan:
    """Ports and addresses of everything. `routes` maps each proxy's port to the port behind it."""

    load_balancer: int
    cockroach: tuple[CockroachNode, ...]
    nats: tuple[NatsNode, ...]
    apis: tuple[tuple[str, str, int], ...]
    """Name, region, port."""
    workers: tuple[tuple[str, str, str, int], ...]
    """Name, role, region, port."""
    routes: dict[int, int]


def make_plan(ports: Callable[[int], list[int]], *, load_balancer: int | None = None) -> Plan:
    """Lay a cluster out on the free ports that `ports(number)` gives; `load_balancer` fixes that one port."""
    give = iter(ports(40))
    crdb = [next(give) for _ in PLACEMENT]
    crdb_proxies = [next(give) for _ in PLACEMENT]
    routes_of_nats = [next(give) for _ in PLACEMENT]
    nats_proxies = [next(give) for _ in PLACEMENT]

    def seen_from(index: int, other: int, direct: list[int], proxies: list[int]) -> int:
        """The port by which one node reaches another: through a proxy where they are in different regions."""
        return direct[other] if PLACEMENT[index] == PLACEMENT[other] else proxies[other]

    others = {index: [other for other in range(len(PLACEMENT)) if other != index] for index in range(len(PLACEMENT))}
    return Plan(
        load_balancer=load_balancer or next(give),
        cockroach=tuple(
            CockroachNode(
                f"cockroach-{index + 1}", region, crdb[index], next(give), crdb_proxies[index],
                [seen_from(index, other, crdb, crdb_proxies) for other in others[index]],
            )
            for index, region in enumerate(PLACEMENT)
        ),
        nats=tuple(
            NatsNode(
                f"nats-{index + 1}", next(give), next(give), routes_of_nats[index], nats_proxies[index],
                [seen_from(index, other, routes_of_nats, nats_proxies) for other in others[index]],
            )
            for index, _ in enumerate(PLACEMENT)
        ),
        apis=tuple((f"api-{index + 1}", region, next(give)) for index, region in enumerate(PLACEMENT)),
        workers=tuple(
            (f"{role}-{number}", role, region, next(give))
            for role in ("relay", "projector")
            for number, region in enumerate((REGION_A, REGION_B), 1)
        ),
        routes={
            **dict(zip(crdb_proxies, crdb, strict=True)),
            **dict(zip(nats_proxies, routes_of_nats, strict=True)),
        },
    )  # fmt: skip
