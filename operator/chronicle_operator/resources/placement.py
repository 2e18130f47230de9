"""Which pods there are in which region, and which of them newcomers ask for the way in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chronicle_operator.crd.spec import Region
from chronicle_operator.resources.context import LedgerContext

SEEDS = 3


@dataclass(frozen=True)
class Group:
    """The pods of one kind in one region; `region` is None in a ledger without regions."""

    region: Region | None
    replicas: int

    @property
    def region_name(self) -> str | None:
        """Return the region's name."""
        return self.region.name if self.region else None


def cockroach(ledger: LedgerContext) -> list[Group]:
    """Return the groups of database nodes."""
    regions = ledger.spec.regions
    if not regions:
        return [Group(None, ledger.spec.cockroach_total())]
    return [Group(it, it.cockroach_replicas) for it in regions]


def nats(ledger: LedgerContext) -> list[Group]:
    """Return the groups of NATS servers."""
    regions = ledger.spec.regions
    if not regions:
        return [Group(None, ledger.spec.nats_total())]
    return [Group(it, it.nats_replicas) for it in regions]


def api(ledger: LedgerContext) -> list[Group]:
    """Return the groups of API replicas: `api.replicas`, shared out by the regions' shares."""
    regions, total = ledger.spec.regions, ledger.spec.api.replicas
    if not regions:
        return [Group(None, total)]
    counts = share_out(total, [it.api_replicas for it in regions])
    return [Group(region, count) for region, count in zip(regions, counts, strict=True)]


def share_out(total: int, shares: Sequence[int]) -> list[int]:
    """Share `total` out in proportion (largest remainder; on a tie the earlier one gets it)."""
    whole = sum(shares)
    counts = [total * share // whole for share in shares]
    remainders = sorted(range(len(shares)), key=lambda place: (-(total * shares[place] % whole), place))
    for place in remainders[: total - sum(counts)]:
        counts[place] += 1
    return counts


def seeds(names_and_replicas: Sequence[tuple[str, int]]) -> list[str]:
    """Return the three pods that every pod of a cluster knows from its start, as StatefulSet name and ordinal.

    Pod 0 of each StatefulSet comes first, then pod 1 and so on. Three is the fewest a cluster has, and a list that grew
    with it would restart every pod whenever it is scaled.
    """

    def by_ordinal() -> Iterator[str]:
        for ordinal in range(SEEDS):
            for name, replicas in names_and_replicas:
                if ordinal < replicas or len(names_and_replicas) == 1:
                    yield f"{name}-{ordinal}"

    return list(by_ordinal())[:SEEDS]
