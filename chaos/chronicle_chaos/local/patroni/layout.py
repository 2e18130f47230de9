"""Which ports a cluster has, and who reaches whom through a proxy. Pure.

A node's address in etcd is the same for all who look at it. So each Patroni is told which of the others it reaches
through a proxy (see `member`), and what the etcd of region B dials goes through an outlet that does so (`outlet`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chronicle_chaos.local.ports import LOOPBACK

PORTS = 7
"""How many a node has."""


@dataclass(frozen=True, slots=True)
class PatroniNode:
    """One node: PostgreSQL, Patroni's REST API, and a member of etcd. The `crossing_` ports are those of the proxies by
    which the other region reaches it."""

    name: str
    region: str
    postgres: int
    rest: int
    client: int
    peer: int
    crossing_postgres: int
    crossing_rest: int
    crossing_peer: int

    @property
    def routes(self) -> dict[int, int]:
        """Return the proxies that lead to this node: each one's port, and the port behind it."""
        return {
            self.crossing_postgres: self.postgres,
            self.crossing_rest: self.rest,
            self.crossing_peer: self.peer,
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """All nodes, and the port of the outlet that the etcd of the smaller region dials through."""

    nodes: tuple[PatroniNode, ...]
    outlet: int

    @classmethod
    def on(cls, ports: Sequence[int], placement: Sequence[str]) -> Layout:
        """Lay the nodes out, one for each region of `placement`, on as many ports as `number_of_ports` says."""
        given = iter(ports)
        nodes = tuple(
            PatroniNode(f"postgres-{number}", region, *(next(given) for _ in range(PORTS)))
            for number, region in enumerate(placement, 1)
        )
        return cls(nodes, next(given))

    @property
    def ports(self) -> list[int]:
        """Return what `on` was given."""
        each = [
            (n.postgres, n.rest, n.client, n.peer, n.crossing_postgres, n.crossing_rest, n.crossing_peer)
            for n in self.nodes
        ]
        return [*(port for ports in each for port in ports), self.outlet]

    @property
    def alone(self) -> PatroniNode:
        """Return the node that is the only one of its region: to all others it is across."""
        regions = [node.region for node in self.nodes]
        return next(node for node in self.nodes if regions.count(node.region) == 1)

    @property
    def routes(self) -> dict[int, int]:
        """Return every proxy between the regions: its port, and the port behind it."""
        return {port: upstream for node in self.nodes for port, upstream in node.routes.items()}

    def crossings(self, viewer: PatroniNode) -> dict[int, int]:
        """Return the ports of nodes of the other region, each with the port by which `viewer` has to go there."""
        across = [node for node in self.nodes if node.region != viewer.region]
        return {upstream: port for node in across for port, upstream in node.routes.items()}

    def peer_url(self, node: PatroniNode) -> str:
        """Return the address of a node's etcd for its peers.

        The lone node is across for all of them, and is known by its proxy. The others are so for the lone node alone,
        which has to dial them by its outlet: Go uses no proxy for loopback addresses, but does for this one.
        """
        return f"http://{LOOPBACK}:{node.crossing_peer}" if node == self.alone else f"http://0.0.0.0:{node.peer}"

    def url(self, region: str, user: str, password: str, *, first: int = 0, database: str = "postgres") -> str:
        """Return the libpq URL by which a client of a region finds the primary: its own nodes first, from the one at
        `first` on, then through the proxies those of the other region."""
        own = [node.postgres for node in self.nodes if node.region == region]
        first %= len(own) or 1
        across = [node.crossing_postgres for node in self.nodes if node.region != region]
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in (*own[first:], *own[:first], *across))
        return f"postgresql://{user}:{password}@{hosts}/{database}?target_session_attrs=read-write"


def number_of_ports(placement: Sequence[str]) -> int:
    """Return how many ports `Layout.on` needs."""
    return PORTS * len(placement) + 1
