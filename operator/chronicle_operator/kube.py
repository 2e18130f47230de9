"""The Kubernetes API as the operator uses it: manifests in, manifests out, errors sorted, every call counted.

Manifests stay plain dicts all the way, so that no field is lost that a typed model of another Kubernetes version does
not know. lightkube carries them: connection, credentials (a rotated token is read again) and server-side apply.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol, cast

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from chronicle_operator import errors
from chronicle_operator.kinds import MANAGER, Kind

Manifest = dict[str, Any]
TIMEOUT_SECONDS = 15.0


class Kube(Protocol):
    """The few verbs the operator needs. Every method raises `errors.KubeError` and nothing else."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the object, or None when there is none."""

    async def list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """Return the objects with all of `labels`; `namespace` None means every namespace."""

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply as the operator's field manager, by force, and return what is stored now."""

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create; raises Conflict when the name is taken."""

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete with background propagation; no error when the object (or that very `uid`) is gone already."""

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest, version: str) -> Manifest:
        """Replace the status if the object still has resource version `version`; raises Conflict otherwise."""


CountCall = Callable[[str, Kind, str], None]
"""Called with verb, kind and outcome (`ok` or the error's class name) after each request."""


def _uncounted(verb: str, kind: Kind, outcome: str) -> None:
    del verb, kind, outcome


class LightkubeKube:
    """`Kube` over lightkube."""

    def __init__(self, client: AsyncClient, count: CountCall = _uncounted) -> None:
        """Use `client`, and report each request to `count`."""
        self._client: Any = client  # its overloads know classes, not the generic resources made at run time
        self._count = count

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """See `Kube.get`."""
        try:
            request = self._client.get(resource(kind), name, namespace=namespace)
            return cast(Manifest, await self._ask("get", kind, name, request))
        except errors.NotFound:
            return None

    async def list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """See `Kube.list`."""

        async def collect() -> list[Manifest]:
            found = self._client.list(resource(kind), namespace=namespace or "*", labels=labels)
            return [cast(Manifest, item) async for item in found]

        items: list[Manifest] = await self._ask("list", kind, namespace or "every namespace", collect())
        for item in items:  # items of a list carry neither, and `kinds.of` wants both
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return items

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See `Kube.apply`."""
        meta = manifest["metadata"]
        request = self._client.patch(
            resource(kind),
            meta["name"],
            manifest,
            namespace=meta["namespace"],
            patch_type=PatchType.APPLY,
            field_manager=MANAGER,
            force=True,
        )
        return cast(Manifest, await self._ask("patch", kind, meta["name"], request))

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See `Kube.create`."""
        meta = manifest["metadata"]
        request = self._client.create(resource(kind)(manifest), namespace=meta["namespace"], field_manager=MANAGER)
        return cast(Manifest, await self._ask("create", kind, meta.get("name", "?"), request))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `Kube.delete`."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._ask("delete", kind, name, self._delete(kind, namespace, name, options))
        except errors.NotFound:
            return
        except errors.Conflict:
            if uid is None:
                raise
            return  # the name belongs to another object by now

    async def _delete(self, kind: Kind, namespace: str, name: str, options: Manifest) -> None:
        # lightkube's own `delete` sends no body, and only there can a uid be demanded.
        generic = self._client._client  # noqa: SLF001
        request = generic.prepare_request("delete", resource(kind), name=name, namespace=namespace)
        request.data = options
        generic.handle_response("delete", await generic.send(generic.build_adapter_request(request)), request)

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest, version: str) -> Manifest:
        """See `Kube.patch_status`. A JSON patch, since a merge patch could not drop a key that went away.

        The version is replaced, not tested: the API server then compares it as in any update and answers 409. A `test`
        that fails is a 422 without a word of what failed, which nobody can tell from a status that it refuses.
        """
        operations = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        request = self._client.patch(
            resource(kind).Status,
            name,
            operations,
            namespace=namespace,
            patch_type=PatchType.JSON,
            field_manager=f"{MANAGER}-status",
        )
        return cast(Manifest, await self._ask("patch-status", kind, name, request))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _ask(self, verb: str, kind: Kind, name: str, request: Any) -> Any:
        subject = f"{verb} {kind.kind} {name}"
        try:
            answer = await request
        except ApiError as error:
            status = error.status
            pause = status.details.retryAfterSeconds if status.details else None
            sorted_error = errors.of_status(subject, status.code or 500, status.message or "", retry_after=pause)
        except httpx2.HTTPStatusError as error:
            code, text = error.response.status_code, error.response.text[:300]
            sorted_error = errors.of_status(subject, code, text, answered=False)
        except (httpx2.HTTPError, OSError, json.JSONDecodeError, KeyError) as error:
            # KeyError: lightkube wants a Content-Type, which the empty answer of a proxy does not have.
            sorted_error = errors.Unreachable(subject, f"{type(error).__name__}: {error}".rstrip(": "))
        else:
            self._count(verb, kind, "ok")
            return answer
        self._count(verb, kind, type(sorted_error).__name__)
        raise sorted_error


@cache  # lightkube refuses a second class for the same kind of the core group
def resource(kind: Kind) -> Any:
    """Return lightkube's generic resource class for a kind."""
    return create_namespaced_resource(kind.group, kind.version, kind.kind, kind.plural)


def connect(count: CountCall = _uncounted) -> LightkubeKube:
    """Connect with the pod's ServiceAccount, or with `KUBECONFIG` outside of a cluster."""
    return LightkubeKube(AsyncClient(timeout=httpx2.Timeout(TIMEOUT_SECONDS), lazy=True), count)
