"""The one layer around everything: request id, key, body limit, metrics, log, `Connection: close` while draining.

One plain ASGI callable rather than a stack of middlewares, because each layer costs each request a coroutine and a
wrapped `send`.
"""

from __future__ import annotations

import asyncio
import re
import time
from functools import lru_cache
from typing import Any
from uuid import uuid4

import structlog

from chronicle_ledger import logs, metrics
from chronicle_ledger.web import docs_page
from chronicle_ledger.web.access import ANYONE
from chronicle_ledger.web.call import Receive, Scope, Send
from chronicle_ledger.web.hosts import private
from chronicle_ledger.web.operation import refuse
from chronicle_ledger.web.problems import Problem
from chronicle_ledger.web.refused import RefusedAccess
from chronicle_ledger.web.service import Service

log = logs.get("chronicle_ledger.api.request")

OPEN = frozenset({"/health", "/livez", "/readyz", "/metrics", "/openapi.json", *docs_page.PATHS})
"""What answers without a key, also where a key file is set."""

_CUT = (
    "This replica is shutting down and could not wait for the answer. Retry with the same idempotency key: nothing is"
    " posted twice."
)
_RESTORING = (
    "This ledger is being put back from a backup, or was and is not proven yet, so nothing of it is served. Try again"
    " when /readyz says ok."
)
_STRANGE_HOST = (
    "This ledger has no keys, so it answers to no public name (DNS rebinding). Use its address, list the name in"
    " CHRONICLE_ALLOWED_HOSTS, or set CHRONICLE_KEYS_FILE."
)
_ONCE = {
    name.lower().encode(): name
    for name in ("Idempotency-Key", "If-Match", "Authorization", "Content-Type", "X-Request-Id", "Last-Event-ID")
}
"""Headers of which one value counts: of two, a proxy may take the one and the ledger the other."""
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class Edge:
    """Wraps `app`; see the module."""

    def __init__(self, app: Any, service: Service) -> None:
        self._app = app
        self._service = service
        self._refused = RefusedAccess()
        listed = frozenset(name.lower() for name in service.settings.allowed_hosts)
        self._answers_to = lru_cache(maxsize=256)(lambda host: private(host, listed))
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        identity, authorization, host, length, chunked, twice = _headers(scope)
        scope["chronicle.service"] = self._service
        scope["chronicle.request_id"] = identity
        structlog.contextvars.bind_contextvars(request_id=identity)
        sender = _Sender(send, identity, closing=self._service.lifecycle.draining)
        metrics.REQUESTS_IN_FLIGHT.inc()
        try:
            if twice is not None:
                raise Problem(
                    "duplicate_header",
                    f"The header {twice} is given twice; proxies disagree on which one counts.",
                    field=twice,
                )
            limit = self._service.settings.body_limit
            if length > limit:
                raise Problem("body_too_large", f"A body may have up to {limit} bytes.", limit=limit)
            keyring = self._service.keyring
            scope["chronicle.principal"] = ANYONE
            if scope["path"] not in OPEN:
                if keyring is not None:
                    scope["chronicle.principal"] = keyring.authenticate(authorization)
                elif host is not None and not self._answers_to(host):
                    raise Problem("host_not_allowed", _STRANGE_HOST)
                if self._service.health.restoring:
                    raise Problem("database_unavailable", _RESTORING)
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
        principal = scope.get("chronicle.principal", ANYONE)
        if status in {401, 403}:
            client = (scope.get("client") or (None,))[0]
            name = "unknown" if status == 401 else principal.name
            self._refused.note(status, client=client, principal=name, method=scope["method"], path=scope["path"][:200])
        settings = self._service.settings
        failed, slow = status >= 500 or status == 0, seconds >= settings.slow_request
        if not (failed or slow) and settings.log_requests != "all":
            return
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


def _headers(scope: Scope) -> tuple[str, str | None, str | None, int, bool, str | None]:
    """Request id, authorization, host, content length, whether the body comes in chunks, and which header of those that
    count once came twice: all in one pass."""
    identity, authorization, host, length, chunked, twice = "", None, None, 0, False, None
    once = set()
    for name, value in scope["headers"]:
        if name in _ONCE:
            if name in once:
                twice = _ONCE[name]
            once.add(name)
        if name == b"x-request-id":
            text = value.decode("latin-1")
            identity = text if _SANE_ID.fullmatch(text) else ""
        elif name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"host":
            host = value.decode("latin-1")
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            chunked = True
    return identity or uuid4().hex, authorization, host, length, chunked, twice


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
