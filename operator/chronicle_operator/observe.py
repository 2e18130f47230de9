"""What is there now: the children, pods and volume claims of one ledger, read fresh for each reconcile.

Read by list requests, not from a watch's cache: a reconcile that decides on what it wrote a moment ago must see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chronicle_operator import errors, kinds
from chronicle_operator.apply import Manifest, owned_by
from chronicle_operator.health import Health
from chronicle_operator.kinds import Kind
from chronicle_operator.kube import Kube
from chronicle_operator.nodes import Nodes

COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"


@dataclass(frozen=True)
class Observation:
    """A ledger's objects at one moment.

    `health` is None when the API was not asked or did not answer, `nodes` when no database node was asked.
    """

    ledger: Manifest
    children: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    claims: tuple[Manifest, ...] = ()
    health: Health | None = None
    nodes: Nodes | None = None

    @property
    def namespace(self) -> str:
        """Return the ledger's namespace."""
        return str(self.ledger["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Return the ledger's uid."""
        return str(self.ledger["metadata"]["uid"])

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return the child of that kind and name."""
        return next((it for it in self.children if it["kind"] == kind and it["metadata"]["name"] == name), None)

    def of(self, kind: str, component: str) -> list[Manifest]:
        """Return the children of a kind that belong to a component, by name."""
        found = [it for it in self.children if it["kind"] == kind and labels(it).get(COMPONENT) == component]
        return sorted(found, key=lambda it: str(it["metadata"]["name"]))

    def pods_of(self, component: str) -> list[Manifest]:
        """Return the pods of a component, by name."""
        return [it for it in self.pods if labels(it).get(COMPONENT) == component]


def labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an object's labels, none when it has none."""
    found: Mapping[str, str] = item["metadata"].get("labels") or {}
    return found


def selector(name: str) -> dict[str, str]:
    """Return the labels that every child of the ledger `name` bears."""
    return {MANAGED_BY: kinds.MANAGER, INSTANCE: name}


async def observe(kube: Kube, ledger: Manifest) -> Observation:
    """Read everything that belongs to `ledger`. Raises `errors.KubeError`."""
    namespace, name = ledger["metadata"]["namespace"], ledger["metadata"]["name"]
    wanted = selector(name)

    async def read(kind: Kind) -> list[Manifest]:
        return await kube.list(kind, namespace, wanted)

    pods, claims, *lists = await asyncio.gather(
        read(kinds.POD), _claims(kube, namespace, name), *(read(kind) for kind in kinds.CHILDREN)
    )
    uid = ledger["metadata"]["uid"]
    children = [item for items in lists for item in items if owned_by(item, uid) or _orphaned_secret(item)]
    return Observation(ledger, tuple(children), tuple(sorted(pods, key=_name)), tuple(claims))


async def _claims(kube: Kube, namespace: str, name: str) -> list[Manifest]:
    # A claim gets the labels of its StatefulSet's selector, which do not name the manager.
    try:
        return await kube.list(kinds.VOLUME_CLAIM, namespace, {INSTANCE: name})
    except errors.Forbidden:
        return []  # only a decommissioning needs them, and says so itself


def _orphaned_secret(item: Manifest) -> bool:
    """A Secret that lost its owner, by hand or with a ledger deleted with `--cascade=orphan`, is taken up again."""
    return item["kind"] == kinds.SECRET.kind and not item["metadata"].get("ownerReferences")


async def find_secrets(kube: Kube, seen: Observation, wanted: Iterable[str]) -> Observation:
    """Return the observation with the Secrets of these names, if they exist though their labels were lost."""
    found = [await kube.get(kinds.SECRET, seen.namespace, name) for name in wanted]
    more = [it for it in found if it is not None and (owned_by(it, seen.uid) or _orphaned_secret(it))]
    return replace(seen, children=(*seen.children, *more))


def _name(item: Manifest) -> str:
    return str(item["metadata"]["name"])
