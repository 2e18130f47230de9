"""The application: operations as routes, problems for what no route answers, and the edge around it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from chronicle_ledger import __version__
from chronicle_ledger.api import (
    accounts,
    batch,
    events,
    history,
    holds,
    probes,
    proof,
    transactions,
    transfers,
    views,
)
from chronicle_ledger.web import docs_page, openapi
from chronicle_ledger.web.edge import Edge
from chronicle_ledger.web.operation import Operation, OperationRoute, routes
from chronicle_ledger.web.problems import Problem
from chronicle_ledger.web.service import Service
from chronicle_ledger.web.switch import Switch

MODULES: Final = (transfers, batch, transactions, accounts, holds, history, views, events, proof, probes)
"""The modules with operations; the busiest first, since routes are tried in this order."""

TITLE: Final = "ChronicleLedger"
TAGS: Final = (
    {"name": "accounts", "description": "Accounts, their history and their balance at any moment."},
    {"name": "transactions", "description": "Postings. Each is written whole or not at all, and once."},
    {"name": "holds", "description": "Money set aside, to be captured or given back."},
    {"name": "events", "description": "The read model, the stream of transactions, and the proof that all agree."},
    {"name": "operation", "description": "Health and figures, for those who run the service."},
)
DESCRIPTION: Final = (
    "A double-entry ledger. Amounts are integers of minor units. Every POST carries an Idempotency-Key, by which a"
    " retry is always safe: the same request is posted once. Refusals are problem documents (RFC 9457) with a stable"
    " `code`. HEAD answers as GET does, without the body."
    " Integers are signed and have 64 bits: sums may exceed 2^53 - 1, past which JavaScript's JSON.parse loses digits."
)


def operations() -> tuple[Operation, ...]:
    """All operations, in the order in which they are tried."""
    return tuple(operation for module in MODULES for operation in module.OPERATIONS)


def framework() -> FastAPI:
    """FastAPI with every operation; without a service behind it, it can still be asked for its documentation."""
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        docs_url=None,  # of a page of our own, which loads nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _unrouted},
    )
    app.router.routes[:0] = [*routes(operations()), *docs_page.routes()]
    return app


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return the document that `openapi.json` in the repository holds and /openapi.json answers."""
    return openapi.document(operations(), framework().routes, title=TITLE, description=DESCRIPTION, tags=TAGS)


def build(service: Service) -> Edge:
    """The whole ASGI application."""
    app = framework()
    app.openapi = document  # type: ignore[method-assign]
    listed = [route for route in app.router.routes if isinstance(route, OperationRoute)]
    return Edge(Switch(app, listed), service)


async def _unrouted(request: Request, error: Exception) -> Response:
    """A problem for what the router itself refuses: no such path, or no such method on it."""
    if not isinstance(error, HTTPException):
        raise TypeError from error
    headers = {}
    if error.status_code == 405:
        allowed = ", ".join(sorted(_allowed(request)))
        headers["allow"] = allowed
        problem = Problem("method_not_allowed", f"{request.method} is not allowed here; allowed: {allowed}.")
    elif error.status_code == 404:
        problem = Problem("not_found", f"Nothing is served at {request.url.path[:200]}; see /docs.")
    else:
        problem = Problem("malformed_request", str(error.detail))
    body, problem_headers = problem.encode(request.scope.get("chronicle.request_id", ""))
    return Response(body, problem.status, {**problem_headers, **headers})


def _allowed(request: Request) -> set[str]:
    app: FastAPI = request.app
    found = {
        route.operation.method
        for route in app.router.routes
        if isinstance(route, OperationRoute) and route.matches(request.scope)[0] is not Match.NONE
    }
    return found | {"HEAD"} if "GET" in found else found
