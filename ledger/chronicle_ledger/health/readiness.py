"""The listener of roles that answer nothing but probes and Prometheus: /livez, /readyz, /metrics."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chronicle_ledger import metrics
from chronicle_ledger.process import Lifecycle, Role

READY_TIMEOUT = 2.0
"""Seconds after which a role that does not say whether it is ready counts as not ready."""

JSON = "application/json"


class Readiness:
    """Whether to send work here: not while draining, and not while the role waits for something."""

    def __init__(self, role: Role, lifecycle: Lifecycle) -> None:
        self._role = role
        self._lifecycle = lifecycle

    async def reason_against(self) -> str | None:
        """None when ready, else why not; answers within `READY_TIMEOUT` seconds."""
        if self._lifecycle.draining:
            return "draining"
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                reason = await self._role.ready()
        except TimeoutError:
            reason = "no answer in time"
        metrics.READY.set(reason is None)
        return reason


def app(role: Role, lifecycle: Lifecycle) -> Any:
    """An ASGI application that serves the probes of `role`. /livez never looks at a dependency."""
    readiness = Readiness(role, lifecycle)

    async def probes(scope: Any, receive: Any, send: Any) -> None:
        del receive
        status, kind, body = 404, JSON, b'{"status":"not found"}'
        match scope["path"]:
            case "/livez":
                status, body = 200, b'{"status":"ok"}'
            case "/readyz" | "/health":
                reason = await readiness.reason_against()
                status = 200 if reason is None else 503
                body = json.dumps({"status": "ok"} if reason is None else {"status": "down", "reason": reason}).encode()
            case "/metrics":
                status, kind, body = 200, metrics.CONTENT_TYPE, metrics.exposition()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    return probes
