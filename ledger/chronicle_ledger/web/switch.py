"""From a request to its operation, past the framework where there is one, through it where there is none.

FastAPI knows every operation and documents it, but its layers (exit stacks, exception and telemetry middleware) cost
a posting a fifth of the whole time in this process and do nothing for handlers that need none of them. So what has an
operation goes to it straight away; documentation pages, unknown paths and wrong methods go to FastAPI.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chronicle_ledger.web.call import Receive, Scope, Send
from chronicle_ledger.web.operation import OperationRoute


class Switch:
    """An ASGI application over `routes`, with `framework` for everything else."""

    def __init__(self, framework: Any, routes: Iterable[OperationRoute]) -> None:
        self._framework = framework
        self._fixed: dict[tuple[str, str], OperationRoute] = {}
        self._templates: dict[str, list[OperationRoute]] = {}
        for route in routes:
            method, path = route.operation.method, route.operation.path
            if "{" in path:
                self._templates.setdefault(method, []).append(route)
            else:
                self._fixed[method, path] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. HEAD is GET whose body the listener leaves out (RFC 9110, 9.3.2)."""
        method, path = scope["method"], scope["path"]
        if method == "HEAD":
            method = "GET"
        route = self._fixed.get((method, path))
        if route is not None:
            scope["route"], scope["path_params"] = route, {}
            await route.respond(scope, receive, send)
            return
        for route in self._templates.get(method, ()):
            found = route.path_regex.match(path)
            if found is not None:
                scope["route"], scope["path_params"] = route, found.groupdict()
                await route.respond(scope, receive, send)
                return
        await self._framework(scope, receive, send)
