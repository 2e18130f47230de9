"""The Kubernetes API as this project uses it: manifests in, manifests out, errors classified.

Manifests stay plain dictionaries all the way, so that no field is lost that a model of another Kubernetes version does
not know. `client` speaks to an API server; the tests have the same in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chronicle_kube.kind import Kind

Manifest = dict[str, Any]

CountCall = Callable[[str, Kind, str], None]
"""Called with verb, kind and outcome (`ok` or the error's class name) after each request."""


class Kube(Protocol):
    """The verbs that callers need. Every method raises `errors.KubeError` and nothing else."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None when there is none."""

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """Return the objects with all of `labels` and `fields`; `namespace` None means every namespace."""

    async def apply(self, kind: Kind, manifest: Manifest, *, uid: str | None = None) -> Manifest:
        """Server-side apply as the caller's field manager, and return what is stored now.

        With `uid` by force, over that very object and no other. Without it the object is to be made: raises Conflict
        where somebody else has made one of that name in between and set a field otherwise.
        """

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create, and return what is stored; raises Conflict when the name is taken."""

    async def merge(self, kind: Kind, namespace: str, name: str, changes: Manifest) -> Manifest:
        """Merge `changes` into an object that is there, and return what is stored now. A None removes a field."""

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete with background propagation; no error when the object (or that very `uid`) is gone already."""

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest, version: str) -> Manifest:
        """Replace the status if the object still has resource version `version`; raises Conflict otherwise."""
