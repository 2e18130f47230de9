"""An API server over HTTP that answers each request as a test says, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from chronicle_kube.client import KubernetesClient

MANAGER = "chronicle-test"


@dataclass(frozen=True)
class Request:
    """What was sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Answer = Callable[[Request], tuple[int, Any]]
"""Returns the status and a document, or a text that is sent as it is."""


def status(code: int, message: str, **more: Any) -> tuple[int, Any]:
    """Return an answer in the API server's own words."""
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "message": message, **more}


@asynccontextmanager
async def answering(answer: Answer, headers: dict[str, str] | None = None) -> AsyncIterator[KubernetesClient]:
    """Yield a client of the server; `headers` go with each answer."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        sent = Request(request.method, request.path, dict(request.query), dict(request.headers), body)
        code, document = answer(sent)
        if isinstance(document, str):
            return web.Response(status=code, text=document, headers=headers)
        return web.json_response(document, status=code, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        client = KubernetesClient(Configuration(host=str(server.make_url("")).rstrip("/")), MANAGER)
        try:
            yield client
        finally:
            await client.close()
