"""An API server over HTTP that lists and watches the operator's kinds, and refuses what a test says it refuses.

Only what Kopf asks for: discovery, lists, watches. Objects are put by the test and reach every watch.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds

KINDS = (*kinds.CHILDREN, kinds.LEDGER)
BASICS = (Kind("", "v1", "Namespace", "namespaces"), Kind("", "v1", "Event", "events"))
CRDS = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")


class FakeApiServer:
    """The server. `forbidden` are namespaces that answer 403, as one does that was deleted with its RoleBinding."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.forbidden: set[str] = set()
        self.refused = 0
        """How many requests were answered 403."""
        self.watching: list[tuple[str, str]] = []
        """Namespace and plural of each watch that is open."""
        self._streams: dict[asyncio.Queue[dict[str, Any] | None], tuple[str, str]] = {}
        self._server: TestServer | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_watches()
        assert self._server is not None
        await self._server.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return str(self._server.make_url("")).rstrip("/")

    def send(self, kind: Kind, item: dict[str, Any], event: str = "ADDED") -> None:
        """Have every watch of the object's kind and namespace hear of it."""
        for queue, (namespace, plural) in self._streams.items():
            if plural == kind.plural and namespace in ("", item["metadata"]["namespace"]):
                queue.put_nowait({"type": event, "object": item})

    def close_watches(self, namespace: str | None = None) -> None:
        """End the watches, of one namespace or all, as the server does after its own time-out."""
        for queue, (found, _) in self._streams.items():
            if namespace in (None, found):
                queue.put_nowait(None)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [it for it in request.path.split("/") if it]
        if parts == ["api"]:
            return web.json_response({"versions": ["v1"]})
        if parts == ["apis"]:
            return web.json_response({"groups": _groups()})
        root = 2 if parts[0] == "api" else 3
        if len(parts) == root:
            return web.json_response({"resources": _resources("/".join(parts[1:]))})
        namespace, plural = (parts[root + 1], parts[root + 2]) if parts[root] == "namespaces" else ("", parts[root])
        if namespace in self.forbidden:
            self.refused += 1
            body = {"kind": "Status", "apiVersion": "v1", "code": 403, "reason": "Forbidden", "message": "forbidden"}
            return web.json_response(body, status=403)
        if "watch" in request.query:
            return await self._watch(request, namespace, plural)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    async def _watch(self, request: web.Request, namespace: str, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._streams[queue] = (namespace, plural)
        self.watching.append((namespace, plural))
        try:
            while (event := await queue.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            del self._streams[queue]
            self.watching.remove((namespace, plural))
        return response


def _groups() -> list[dict[str, Any]]:
    versions = {it.group: it.version for it in (*KINDS, CRDS) if it.group}
    return [
        {
            "name": group,
            "versions": [{"version": version, "groupVersion": f"{group}/{version}"}],
            "preferredVersion": {"version": version, "groupVersion": f"{group}/{version}"},
        }
        for group, version in versions.items()
    ]


def _resources(version: str) -> list[dict[str, Any]]:
    return [
        {
            "name": it.plural,
            "kind": it.kind,
            "singularName": it.kind.lower(),
            "namespaced": it not in (CRDS, BASICS[0]),
            "verbs": ["list", "watch", "get", "patch"],
        }
        for it in (*KINDS, *BASICS, CRDS)
        if it.api_version == version
    ]
