"""The three nodes as the database of a local cluster (see `local.databases.Database`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from chronicle_chaos import target
from chronicle_chaos.local.databases import Add, Member
from chronicle_chaos.local.patroni.cluster import PatroniCluster
from chronicle_chaos.local.patroni.layout import Layout
from chronicle_chaos.local.patroni.wheels import Means

NODE, REST, ETCD = "postgres", "patroni", "etcd"
"""What the members of a node are called: all three are one process, which dies as a whole."""


class PatroniDatabase:
    """Three nodes, of which region A has two; what crosses to the third goes through proxies."""

    kind = "patroni"
    dialect: target.Database = "patroni"

    def __init__(self, folder: Path, layout: Layout, means: Means, why: str, *, synchronous: bool = True) -> None:
        """`why` is added to what a person reads: the reason for this database."""
        self._cluster = PatroniCluster(folder, layout, means, synchronous=synchronous)
        self._means = means
        self._why = why
        self._synchronous = synchronous
        self.routes: Mapping[int, int] = layout.routes
        self.outlet: int | None = layout.outlet
        self.passwords: Path | None = self._cluster.users.folder

    def announcement(self) -> str:
        """See `Database.announcement`."""
        how = "" if self._means.namespace else "; there are no user namespaces here, so reapers end what nodes leave"
        control = "" if self._synchronous else ", WITHOUT synchronous replication"
        return f"starting three PostgreSQL nodes under Patroni{control}{self._why}{how}"

    async def start(self, add: Add, check: Callable[[], None]) -> None:
        """See `Database.start`."""
        self._cluster.prepare()
        for node in self._cluster.nodes:
            process = self._cluster.processes[node.name]
            rest = f"http://127.0.0.1:{node.rest}"
            add(node.name, Member(NODE, node.region, node.postgres, rest, process, node.postgres))
            add(f"{node.name}-patroni", Member(REST, node.region, node.rest, rest, process, node.rest))
            add(f"{node.name}-etcd", Member(ETCD, node.region, node.client, rest, process, node.peer))
        await self._cluster.start(check)

    def url(self, instance: str, region: str, user: str | None = None) -> str:
        """See `Database.url`. Replicas of a region begin with different nodes."""
        return self._cluster.url(region, first=1 if instance.endswith("2") else 0, user=user)

    async def make_primary(self, name: str) -> None:
        """See `Database.make_primary`."""
        await self._cluster.make_primary(name)

    async def stop(self) -> None:
        """See `Database.stop`."""
        await self._cluster.stop()
