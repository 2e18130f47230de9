"""An operation: one method on one path, with what it accepts, answers and refuses written down beside its handler.

The same declaration routes the request, guards it (role, deadline) and documents it (openapi.py), so none of the
three can drift from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from chronicle_ledger import logs, metrics
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import Body
from chronicle_ledger.api.call import Answer, Call, ClientDisconnected
from chronicle_ledger.api.parameters import Parameter
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.api.stream import EventStream
from chronicle_ledger.domain.errors import LedgerError

log = logs.get(__name__)

Handler = Callable[[Call], Awaitable[Answer]]

PROBLEMS_OF_ALL = (
    "malformed_request",
    "unauthenticated",
    "internal_error",
    "database_unavailable",
    "deadline_exceeded",
)
PROBLEMS_OF_BODIES = (
    "malformed_json",
    "body_too_large",
    "unsupported_media_type",
    "validation_failed",
    "forbidden",
)
GRACE = 0.5
"""Seconds between the deadline that postings keep themselves and the one that ends a handler from outside."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What there is to know about an operation. `links` are OpenAPI links: what to do with the answer next."""

    method: str
    path: str
    handler: Handler
    id: str
    tag: str
    summary: str
    description: str
    role: Role | None
    status: int
    answer: Any
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    example: Any = None
    media_type: str = "application/json"
    deadline: bool = True

    def all_problems(self) -> tuple[str, ...]:
        """The codes it may answer, those that come with its kind included."""
        if self.role is None:
            return self.problems
        codes = [*self.problems, *PROBLEMS_OF_ALL]
        if self.body is not None:
            codes += PROBLEMS_OF_BODIES
        if self.role > Role.READER:
            codes.append("forbidden")
        return tuple(dict.fromkeys(codes))


def operation(
    method: str,
    path: str,
    *,
    id: str,  # noqa: A002  # OpenAPI's word
    tag: str,
    summary: str,
    role: Role | None,
    answer: Any,
    status: int = 200,
    **more: Any,
) -> Callable[[Handler], Operation]:
    """Declare an operation: decorates its handler, whose docstring is the description."""

    def declare(handler: Handler) -> Operation:
        description = (handler.__doc__ or "").strip()
        return Operation(method, path, handler, id, tag, summary, description, role, status, answer, **more)

    return declare


class OperationRoute(APIRoute):
    """An operation as a route of FastAPI, which finds and lists it; the request goes straight to the handler.

    FastAPI's own request handling (dependencies, pydantic, two exit stacks) has nothing to do for handlers that take
    the request whole, and costs more than the rest of the edge together.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__(
            operation.path,
            _not_called,
            methods=[operation.method],
            operation_id=operation.id,
            name=operation.id,
            tags=[operation.tag],
            summary=operation.summary,
            description=operation.description,
            status_code=operation.status,
        )
        self.operation = operation
        self.app = self.respond

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette has it, without its converters: every parameter is text up to the next slash."""
        found = self.path_regex.match(scope["path"])
        if found is None:
            return Match.NONE, {}
        parameters = found.groupdict()
        allowed = scope["method"] == self.operation.method
        return (Match.FULL if allowed else Match.PARTIAL), {"path_params": parameters, "route": self}

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler within the deadline and send what it answers or refuses."""
        call = Call(cast("dict[str, Any]", scope), receive)
        try:
            answer = await self._run(call)
        except ClientDisconnected:
            return
        except Problem as problem:
            await refuse(problem, scope, send)
        except LedgerError as error:
            await refuse(Problem.of(error), scope, send)
        except TimeoutError:
            await refuse(Problem("deadline_exceeded"), scope, send)
        except Exception:
            log.exception("unexpected error", operation=self.operation.id)
            await refuse(Problem("internal_error"), scope, send)
        else:
            if isinstance(answer, EventStream):
                await answer.run(receive, send)
            else:
                await reply(answer, send)

    async def _run(self, call: Call) -> Answer:
        operation = self.operation
        if operation.role is not None:
            call.principal.require(operation.role)
        if not operation.deadline:
            return await operation.handler(call)
        async with asyncio.timeout(call.service.settings.request_deadline + GRACE):
            return await operation.handler(call)


async def _not_called(request: Request) -> Response:
    raise AssertionError(f"{request.url}: OperationRoute answers itself")


JSON_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


async def reply(answer: Answer, send: Send) -> None:
    """Send an answer as JSON, unless its headers say otherwise."""
    body = answer.body()
    headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if "content-type" not in answer.headers:
        headers.extend(JSON_HEADERS)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(problem: Problem, scope: Scope, send: Send) -> None:
    """Send a problem."""
    metrics.PROBLEMS.labels(problem.code).inc()
    body, headers = problem.encode(scope.get("chronicle.request_id", ""))
    await reply(Answer(problem.status, body, headers), send)


def routes(operations: tuple[Operation, ...]) -> list[BaseRoute]:
    """The routes of the operations, in their order: the first that matches answers, so the busiest come first."""
    return [OperationRoute(operation) for operation in operations]
