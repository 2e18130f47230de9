"""What is there now: the children, pods and volume claims of one ledger, read fresh for each reconcile.

Read by list requests, not from a watch's cache: a reconcile that decides on what it wrote a moment ago must see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chronicle_contract.labels import APPLICATION, COMPONENT, INSTANCE, NAME
from chronicle_kube.api import Kube, Manifest
from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe import refusals
from chronicle_operator.observe.health import Health
from chronicle_operator.observe.nodes import Nodes
from chronicle_operator.observe.ownership import is_own, owned_by, selector, taken

OUR_PODS = {NAME: APPLICATION}


@dataclass(frozen=True)
class Observation:
    """A ledger's objects at one moment.

    `health` is None when the API was not asked or did not answer, `nodes` when no database node was asked. `refused`
    has, by the uid of what lacks a pod or a volume, why Kubernetes could not make it.
    """

    ledger: Manifest
    children: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    claims: tuple[Manifest, ...] = ()
    health: Health | None = None
    nodes: Nodes | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

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
    children = [item for items in lists for item in items if _is_child(item, name, uid)]
    refused = await refusals.read(kube, namespace, refusals.lacking(children, pods, claims), pods)
    return Observation(ledger, tuple(children), tuple(sorted(pods, key=_name)), tuple(claims), refused=refused)


async def _claims(kube: Kube, namespace: str, name: str) -> list[Manifest]:
    # A claim gets the labels of its StatefulSet's selector, which do not name the manager.
    try:
        return await kube.list(kinds.VOLUME_CLAIM, namespace, {**OUR_PODS, INSTANCE: name})
    except errors.Forbidden:
        return []  # only a decommissioning needs them, and says so itself


def _is_child(item: Manifest, name: str, uid: str) -> bool:
    # A Secret without an owner is taken up again as it is; anything else is applied, which makes the ledger its owner.
    return is_own(item, name, uid) if item["kind"] == kinds.SECRET.kind else owned_by(item, uid)


async def find_secrets(
    kube: Kube, seen: Observation, wanted: Iterable[str]
) -> tuple[Observation, list[errors.KubeError]]:
    """Look by name for Secrets that are wanted and were not among those observed.

    Returns the observation with those that are the ledger's own (their labels were lost), and an error for each name
    that is somebody else's.
    """
    ledger = _name(seen.ledger)
    secrets = [await kube.get(kinds.SECRET, seen.namespace, name) for name in wanted]
    present = [it for it in secrets if it is not None]
    mine = [it for it in present if is_own(it, ledger, seen.uid)]
    others = [taken(it, ledger) for it in present if not is_own(it, ledger, seen.uid)]
    return replace(seen, children=(*seen.children, *mine)), others


def _name(item: Manifest) -> str:
    return str(item["metadata"]["name"])
