"""What the database's nodes say about their replicas: the metrics page of each.

The page `/_status/vars` needs no login, in every version since 20.1, while the ledger's own user may read the same
figures by SQL only from 22.2 on, with a privilege of its own. It also carries the node's ID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

REPLICATION = ("ranges_underreplicated", "ranges_unavailable", "replicas", "replicas_leaseholders")
NODE_ID = "node_id"

MISREAD = (ValueError, IndexError, KeyError, OverflowError)
"""What a page that is none raises: the parser has no error of its own."""


@dataclass(frozen=True)
class Node:
    """One node's page: its ID, how many ranges of which it holds the lease lack replicas, or a quorum, and how many
    replicas and leases it holds itself."""

    node_id: int | None
    underreplicated: int
    unavailable: int
    replicas: int
    leases: int = 0


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
    def leases(self) -> Mapping[str, int]:
        """Return how many leases the node in each pod holds, as far as nodes answered."""
        return {pod: node.leases for pod, node in self.by_pod.items() if node is not None}

    def without(self, pod: str) -> Nodes:
        """Return what all but one say."""
        return Nodes({key: node for key, node in self.by_pod.items() if key != pod})

    @property
    def whole(self) -> bool | None:
        """Whether every range has all its replicas; None unless every node answered."""
        if self.underreplicated is None:
            return None
        return self.underreplicated == 0 and not self.unavailable


def is_wanted(line: str) -> bool:
    """Whether a line of the page may hold one of the figures that `parse` reads."""
    return line.startswith((*REPLICATION, NODE_ID))


def parse(page: str) -> Node:
    """Read a metrics page. Figures of several stores are added up; what is missing counts as nothing.

    Raises one of `MISREAD` where the page is in another format, or a figure is no number.
    """
    node_id: int | None = None
    sums = dict.fromkeys(REPLICATION, 0)
    lines = "".join(filter(is_wanted, page.splitlines(keepends=True)))
    for family in text_string_to_metric_families(lines):
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += int(sample.value)
            elif sample.name == NODE_ID:
                node_id = int(sample.value)
    return Node(
        node_id,
        underreplicated=sums["ranges_underreplicated"],
        unavailable=sums["ranges_unavailable"],
        replicas=sums["replicas"],
        leases=sums["replicas_leaseholders"],
    )
