"""`Kube` over the official client, `kubernetes.aio`: its connection, credentials and dynamic client.

Its typed models are not used: each call is a dictionary, and kinds are known beforehand, so that nothing is discovered.
Modules of the client load at their first use; the generated ones (almost two thousand) are never loaded.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any, cast
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.dynamic.client import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from chronicle_kube import access, errors
from chronicle_kube.api import CountCall, Manifest
from chronicle_kube.kind import Kind

SILENCE_SECONDS = 15.0
"""How long the API server may take to connect, and to send the next part of an answer."""

TOTAL_SECONDS = 60.0
"""How long a whole answer may take."""

DETAIL_LENGTH = 300
"""How much is kept of an answer that is not the API server's."""

_SILENT = (aiohttp.ClientError, OSError, TimeoutError, ValueError, ConfigException)
"""No answer, one that is no JSON (ValueError), or credentials that cannot be read again just now."""


def _uncounted(verb: str, kind: Kind, outcome: str) -> None:
    del verb, kind, outcome


class KubernetesClient:
    """`Kube` over an API server. Requests are made as the field manager `manager`."""

    def __init__(self, configuration: Configuration, manager: str, count: CountCall = _uncounted) -> None:
        """Report each request to `count`. Connections are opened as they are needed."""
        # A redirect is no answer of an API server, and the client's session would follow it.
        configuration.client_session_kwargs = {
            **(configuration.client_session_kwargs or {}),
            "middlewares": (_refuse_redirects,),
        }
        self._api = ApiClient(configuration)
        self._dynamic: Any = DynamicClient(self._api)
        self._manager = manager
        self._count = count

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """See `Kube.get`."""
        request = self._dynamic.get(self._resource(kind), _quoted(name), namespace, **_PLAIN)
        try:
            return cast(Manifest, await self._ask("get", kind, name, request))
        except errors.NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """See `Kube.list`."""
        request = self._dynamic.get(
            self._resource(kind),
            namespace=namespace,
            label_selector=_selector(labels),
            field_selector=_selector(fields),
            **_PLAIN,
        )
        answer = await self._ask("list", kind, namespace or "every namespace", request)
        items: list[Manifest] = answer.get("items") or []
        for item in items:  # items of a list carry neither
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return items

    async def apply(self, kind: Kind, manifest: Manifest, *, uid: str | None = None) -> Manifest:
        """See `Kube.apply`."""
        meta = {**manifest["metadata"], **({"uid": uid} if uid else {})}
        request = self._dynamic.server_side_apply(
            self._resource(kind),
            {**manifest, "metadata": meta},
            _quoted(meta["name"]),
            meta["namespace"],
            force_conflicts=uid is not None,
            field_manager=self._manager,
            **_PLAIN,
        )
        return cast(Manifest, await self._ask("patch", kind, meta["name"], request))

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """See `Kube.create`."""
        meta = manifest.get("metadata") or {}
        request = self._dynamic.create(
            self._resource(kind), manifest, meta.get("namespace"), field_manager=self._manager, **_PLAIN
        )
        return cast(Manifest, await self._ask("create", kind, meta.get("name", "?"), request))

    async def merge(self, kind: Kind, namespace: str, name: str, changes: Manifest) -> Manifest:
        """See `Kube.merge`."""
        request = self._dynamic.patch(
            self._resource(kind),
            changes,
            _quoted(name),
            namespace,
            content_type="application/merge-patch+json",
            field_manager=self._manager,
            **_PLAIN,
        )
        return cast(Manifest, await self._ask("patch", kind, name, request))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `Kube.delete`."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        request = self._dynamic.delete(self._resource(kind), _quoted(name), namespace, options, **_PLAIN)
        try:
            await self._ask("delete", kind, name, request)
        except errors.NotFound:
            return
        except errors.Conflict:
            if uid is None:
                raise
            return  # the name belongs to another object by now

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest, version: str) -> Manifest:
        """See `Kube.patch_status`. A JSON patch, since a merge patch could not drop a key that went away.

        The version is replaced, not tested: the API server then compares it as in any update and answers 409. A `test`
        that fails is a 422 that does not say what failed, and looks like a status that the server refuses.
        """
        operations = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        request = self._dynamic.patch(
            self._resource(kind).subresources["status"],
            operations,
            _quoted(name),
            namespace,
            content_type="application/json-patch+json",
            field_manager=f"{self._manager}-status",
            **_PLAIN,
        )
        return cast(Manifest, await self._ask("patch-status", kind, name, request))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _resource(self, kind: Kind) -> Any:
        """Return the client's description of a kind, which discovery would cost a request for each group."""
        status = {"kind": kind.kind, "name": f"{kind.plural}/status", "namespaced": kind.namespaced}
        return Resource(
            prefix="apis" if kind.group else "api",
            group=kind.group,
            api_version=kind.version,
            kind=kind.kind,
            namespaced=kind.namespaced,
            name=kind.plural,
            client=self._dynamic,
            subresources={"status": status},
        )

    async def _ask(self, verb: str, kind: Kind, name: str, request: Awaitable[aiohttp.ClientResponse]) -> Any:
        subject = f"{verb} {kind.kind} {name}"
        try:
            answer = json.loads(await (await request).read())
            if not isinstance(answer, dict):
                raise aiohttp.ClientPayloadError("the answer is no object")
        except ApiException as error:
            failure = _refused(subject, error)
        except _SILENT as error:
            failure = errors.Unreachable(subject, f"{type(error).__name__}: {error}".rstrip(": "))
        else:
            self._count(verb, kind, "ok")
            return answer
        self._count(verb, kind, type(failure).__name__)
        raise failure


def timeout(silence: float) -> aiohttp.ClientTimeout:
    """Return the time limits of a request; `silence` in seconds."""
    return aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=silence, sock_read=silence)


_PLAIN: dict[str, Any] = {"serialize": False, "_request_timeout": timeout(SILENCE_SECONDS)}
"""Hand out the answer as it came: a dictionary is what callers want, not an object with attributes."""


async def _refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if 300 <= response.status < 400:
        response.release()
        raise aiohttp.ClientError(f"{request.url.host} answers with a redirect ({response.status})")
    return response


def _refused(subject: str, error: ApiException) -> errors.KubeError:
    """Return what an answer other than 2xx means. One that is no Status is not the API server's."""
    code = int(error.status or 500)
    try:
        status = json.loads(error.body or "")
    except ValueError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return errors.of_status(subject, code, (error.body or "")[:DETAIL_LENGTH], answered=False)
    details = status.get("details") or {}
    # An apply over another object than the one that was named: its uid "is immutable" (seen on 1.34).
    if code == 422 and any(cause.get("field") == "metadata.uid" for cause in details.get("causes") or ()):
        code = 409
    return errors.of_status(subject, code, status.get("message") or "", retry_after=details.get("retryAfterSeconds"))


def _selector(wanted: Mapping[str, str] | None) -> str | None:
    return ",".join(f"{key}={value}" for key, value in wanted.items()) if wanted else None


def _quoted(name: str) -> str:
    return quote(name, safe="")


async def connect(
    manager: str, count: CountCall = _uncounted, context: str | None = None
) -> tuple[KubernetesClient, str]:
    """Connect to a cluster, and return the client with the namespace of the context. Raises AccessError."""
    found = await access.load(context)
    try:
        return KubernetesClient(found.configuration, manager, count), found.namespace
    except (OSError, ValueError) as error:  # certificates that are none
        raise errors.AccessError(f"the certificates of the cluster cannot be read: {error}") from error
