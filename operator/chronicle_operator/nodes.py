"""What the database's nodes say about their replicas: the metrics page of each.

The page `/_status/vars` needs no login, in every version since 20.1, while the ledger's own user may read the same
figures by SQL only from 22.2 on, with a privilege of its own. It also carries the node's ID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One node's page: its ID, how many ranges of which it holds the lease lack replicas, or a quorum, and how many
    replicas it holds itself."""

    node_id: int | None
    underreplicated: int
    unavailable: int
    replicas: int


@dataclass(frozen=True)
class Nodes:
    """All nodes that were asked, by pod; None for one that did not answer."""

    by_pod: Mapping[str, Node | None]

    @property
    def answered(self) -> Sequence[Node]:
        """Return the pages that came."""
        return [it for it in self.by_pod.values() if it is not None]

    @property
    def underreplicated(self) -> int | None:
        """Return the number of ranges that lack a replica, None unless every node answered."""
        complete = self.by_pod and len(self.answered) == len(self.by_pod)
        return sum(it.underreplicated for it in self.answered) if complete else None

    @property
    def unavailable(self) -> int | None:
        """Return the number of ranges without a quorum, as far as nodes answered."""
        return sum(it.unavailable for it in self.answered) if self.answered else None

    @property
    def replicas(self) -> Mapping[str, int]:
        """Return how many replicas the node in each pod holds, as far as nodes answered."""
        return {pod: node.replicas for pod, node in self.by_pod.items() if node is not None}

    @property
    def whole(self) -> bool | None:
        """Whether every range has all its replicas; None unless every node answered."""
        if self.underreplicated is None:
            return None
        return self.underreplicated == 0 and not self.unavailable


def parse(page: str) -> Node:
    """Read a metrics page. Figures of several stores are added up; what is missing counts as nothing."""
    node_id: int | None = None
    sums = {"ranges_underreplicated": 0.0, "ranges_unavailable": 0.0, "replicas": 0.0}
    for line in page.splitlines():
        metric = line.partition("{")[0]
        if metric in sums:
            sums[metric] += float(line.rpartition(" ")[2])
        elif metric == "node_id":
            node_id = int(float(line.rpartition(" ")[2]))
    return Node(
        node_id,
        underreplicated=int(sums["ranges_underreplicated"]),
        unavailable=int(sums["ranges_unavailable"]),
        replicas=int(sums["replicas"]),
    )
