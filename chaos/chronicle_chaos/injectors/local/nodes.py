"""What faults ask of the database of a local cluster. Each kind of database is one class that does what `Nodes` names.

Nodes are killed, kept away, released and cut off by name, through the cluster's control socket, whatever they are. Here
is what depends on the kind: which node is worth killing, and what to say to a node to see whether it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from chronicle_chaos.faults.hands import Sides
from chronicle_chaos.injectors import held
from chronicle_chaos.injectors.injection import InjectionError, Observation
from chronicle_chaos.injectors.probes import Chosen, by_leases, cockroach_leases, postgres_followers
from chronicle_chaos.local.control import Control, Instance
from chronicle_chaos.local.patroni import view
from chronicle_chaos.local.waiting import accepts
from chronicle_chaos.target import Target


class Nodes(Protocol):
    """The nodes of one kind of database."""

    component: str
    """What the cluster calls such an instance (`Instance.component`)."""

    speeches: Mapping[str, held.Protocol]
    """What to say to the port `Instance.peers`, and through the proxy `Instance.crossing`, by the component of the
    instance: a node may have several parts, each an instance."""

    async def before(self, sides: Sides, control: Control) -> None:
        """Put the database into the state in which a partition hurts most. Raises ControlFailed."""

    async def chosen(self, nodes: Sequence[Instance]) -> Chosen:
        """Choose the node whose loss hurts most. Raises InjectionError where that cannot be told."""

    async def ready(self, node: Instance) -> bool:
        """Whether a node that runs does its work again."""


class CockroachNodes:
    """CockroachDB: the node that holds most range leases is the one to kill."""

    component = "cockroach"
    speeches: Mapping[str, held.Protocol] = {component: held.COCKROACH}

    def __init__(self, target: Target) -> None:
        """The nodes' own addresses are all that is needed."""

    async def before(self, sides: Sides, control: Control) -> None:
        """See `Nodes.before`: every node takes writes."""

    async def chosen(self, nodes: Sequence[Instance]) -> Chosen:
        """See `Nodes.chosen`."""
        return by_leases(await cockroach_leases({node.name: node.url for node in nodes}))

    async def ready(self, node: Instance) -> bool:
        """See `Nodes.ready`."""
        return await accepts(node.port)


class PatroniNodes:
    """PostgreSQL under Patroni: the primary is the node to kill, and the one to leave alone in the minority."""

    component = "postgres"
    speeches: Mapping[str, held.Protocol] = {
        component: held.POSTGRES, "patroni": held.PATRONI, "etcd": held.ETCD,
    }  # fmt: skip

    def __init__(self, target: Target) -> None:
        """The database's URL holds the password by which PostgreSQL itself can be asked."""
        self._url = str(target.details.get("database_url", ""))

    async def before(self, sides: Sides, control: Control) -> None:
        """See `Nodes.before`."""
        lone = [node for node in await control.instances(self.component) if node.region == sides.minority]
        await control.make_primary(lone[0].name)

    async def chosen(self, nodes: Sequence[Instance]) -> Chosen:
        """See `Nodes.chosen`. Patroni says which node is the primary, and PostgreSQL itself, who follows it."""
        members = await view.ask_any([_port(node.url) for node in nodes])
        primary = view.primary_of(members)
        node = next((node for node in nodes if node.name == primary), None)
        if node is None:
            raise InjectionError("Patroni knows of no primary", next_step="see patroni.log of each node")
        followers = await postgres_followers(self._url, node.port)
        patroni = ", ".join(str(member) for member in members)
        said = f"it takes writes, and is followed by {', '.join(followers) or 'none'}"
        told = Observation(f"{node.name} before it was killed, by Patroni", patroni, "the primary", shows_fault=True)
        asked = Observation(f"{node.name} before it was killed, by PostgreSQL", said, "the primary", bool(followers))
        return Chosen(node.name, told, (asked,))

    async def ready(self, node: Instance) -> bool:
        """See `Nodes.ready`: it holds what is acknowledged, as Patroni says."""
        members = await view.ask_any([_port(node.url)])
        return any(member.name == node.name and member.counts for member in members)


def _port(url: str) -> int:
    return urlsplit(url).port or 0


KINDS: Mapping[str, Callable[[Target], Nodes]] = {"cockroach": CockroachNodes, "patroni": PatroniNodes}
"""By `local.databases.Database.kind`. A kind that is not here has one node, and no quorum that could be lost."""


def nodes_of(target: Target) -> Nodes | None:
    """Return how to ask the nodes of a target's database; None where it has one node only."""
    kind = str(target.details.get("database_kind", "cockroach" if target.database == "cockroachdb" else "postgres"))
    return KINDS[kind](target) if kind in KINDS else None
