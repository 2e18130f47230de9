"""The one layer around everything: request id, key, body limit, metrics, log, `Connection: close` while draining.

One plain ASGI callable rather than a stack of middlewares, because each layer costs each request a coroutine and a
wrapped `send`.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any
from uuid import uuid4

import structlog

from chronicle_ledger import logs, metrics
from chronicle_ledger.api.access import ANYONE
from chronicle_ledger.api.call import Receive, Scope, Send
from chronicle_ledger.api.operation import refuse
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.api.service import Service

log = logs.get("chronicle_ledger.api.request")

OPEN = frozenset({"/health", "/livez", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
"""What answers without a key, also where a key file is set."""

_CUT = (
    "This replica is shutting down and could not wait for the answer. Retry with the same idempotency key: nothing is"
    " posted twice."
)
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class Edge:
    """Wraps `app`; see the module."""

    def __init__(self, app: Any, service: Service) -> None:
        self._app = app
        self._service = service
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        identity, authorization, length, chunked = _headers(scope)
        scope["chronicle.service"] = self._service
        scope["chronicle.request_id"] = identity
        structlog.contextvars.bind_contextvars(request_id=identity)
        sender = _Sender(send, identity, closing=self._service.lifecycle.draining)
        metrics.REQUESTS_IN_FLIGHT.inc()
        try:
            limit = self._service.settings.body_limit
            if length > limit:
                raise Problem("body_too_large", f"A body may have up to {limit} bytes.", limit=limit)
            keyring = self._service.keyring
            scope["chronicle.principal"] = ANYONE
            if keyring is not None and scope["path"] not in OPEN:
                scope["chronicle.principal"] = keyring.authenticate(authorization)
            await self._app(scope, _limited(receive, limit) if chunked else receive, sender)
        except Problem as problem:
            # Refused before its body was read: what is still under way must not be taken for the next request.
            sender.closing = sender.closing or length > 0 or chunked
            await refuse(problem, scope, sender)
        except asyncio.CancelledError:
            # By the listener alone, at the end of the drain. It would answer 500, which says that something is wrong
            # here, and not that the outcome is unknown.
            if sender.status:
                raise
            await refuse(Problem("deadline_exceeded", _CUT), scope, sender)
        finally:
            metrics.REQUESTS_IN_FLIGHT.dec()
            self._account(scope, sender.status, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("request_id")

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        key = (scope["method"] if route != "unmatched" else "any", route, status)
        children = self._children.get(key)
        if children is None:
            children = (metrics.REQUESTS.labels(*key), metrics.REQUEST_SECONDS.labels(*key[:2]))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)
        settings = self._service.settings
        failed, slow = status >= 500 or status == 0, seconds >= settings.slow_request
        if not (failed or slow) and settings.log_requests != "all":
            return
        principal = scope.get("chronicle.principal", ANYONE)
        write = log.warning if failed else log.info
        write(
            "request",
            method=scope["method"],
            path=scope["path"],  # without the query, which could hold what a caller mistook for a header
            status=status,
            milliseconds=round(seconds * 1000, 1),
            principal=principal.name,
            slow=slow,
        )


class _Sender:
    """`send` with the request's id and, while draining, `Connection: close` added to the answer's head."""

    __slots__ = ("_header", "_send", "closing", "status")

    def __init__(self, send: Send, identity: str, *, closing: bool) -> None:
        self._send = send
        self._header = (b"x-request-id", identity.encode("latin-1"))
        self.closing = closing
        self.status = 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), self._header]
            if self.closing:
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        await self._send(message)


def _headers(scope: Scope) -> tuple[str, str | None, int, bool]:
    """Request id, authorization, content length and whether the body comes in chunks, in one pass."""
    identity, authorization, length, chunked = "", None, 0, False
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            identity = text if _SANE_ID.fullmatch(text) else ""
        elif name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            chunked = True
    return identity or uuid4().hex, authorization, length, chunked


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` for a body of unknown length: raises Problem `body_too_large` once it has grown past `limit`."""
    size = 0

    async def limited() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise Problem("body_too_large", f"A body may have up to {limit} bytes.", limit=limit)
        return message

    return limited
