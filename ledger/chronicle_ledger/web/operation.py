"""An operation: one method on one path, with what it accepts, answers and refuses written down beside its handler.

The same declaration routes the request, guards it (role, deadline), reads it (path, query, body) and documents it
(openapi.py), so none of the four can drift from the others. A handler starts with a `Call` whose parts are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Required, TypedDict, TypeVar, Unpack, cast, overload

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from chronicle_ledger import logs, metrics
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body
from chronicle_ledger.web.call import Answer, Call, ClientDisconnected
from chronicle_ledger.web.parameters import Parameter, Query, uuid
from chronicle_ledger.web.problems import Problem
from chronicle_ledger.web.stream import EventStream

log = logs.get(__name__)

B = TypeVar("B")
Handler = Callable[[Call[B]], Awaitable[Answer]]

PROBLEMS_OF_ALL = (
    "host_not_allowed",
    "malformed_request",
    "duplicate_header",
    "unauthenticated",
    "internal_error",
    "row_unreadable",
    "database_unavailable",
    "schema_missing",
    "deadline_exceeded",
    "overloaded",
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


@dataclass(frozen=True)
class Operation:
    """What there is to know about an operation. `links` are OpenAPI links: what to do with the answer next."""

    method: str
    path: str
    handler: Handler[Any]
    id: str
    tag: str
    summary: str
    description: str
    role: Role | None
    answer: Any
    status: int = 200
    body: Body[Any] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    example: Any = None
    media_type: str = "application/json"
    deadline: bool = True
    not_modified: bool = False
    """Whether it answers 304 while the caller has the version that is asked for."""
    may_be_down: bool = False
    """Whether it answers 503 with the same schema while the service is down."""

    def all_problems(self) -> tuple[str, ...]:
        """Return the codes that it may answer, including those that come with its kind."""
        if self.role is None:
            return (*self.problems, "duplicate_header")
        codes = [*self.problems, *PROBLEMS_OF_ALL]
        if self.body is not None:
            codes += PROBLEMS_OF_BODIES
        if self.role is not Role.READER:
            codes += ("forbidden", "database_read_only")
        return tuple(dict.fromkeys(codes))

    @cached_property
    def _path_id(self) -> str | None:
        return next((parameter.name for parameter in self.parameters if parameter.place == "path"), None)

    @cached_property
    def _query(self) -> tuple[str, ...] | None:
        """The names that the query may have. None where the query is not looked at: the operation cannot refuse it."""
        if "validation_failed" not in self.all_problems():
            return None
        return tuple(parameter.name for parameter in self.parameters if parameter.place == "query")

    async def read(self, call: Call[Any]) -> None:
        """Fill in the parts of the request that the operation declares. Raises Problem for what they must not be."""
        if self._path_id is not None:
            call.id = uuid(self._path_id, call.path_parameters[self._path_id])
        if self._query is not None and (query := call.scope["query_string"]):
            call.query = Query(query, self._query)
        if self.body is not None:
            call.body = await self.body.read(call)


class Described(TypedDict, total=False):
    """What an operation says about itself; `Operation` has the defaults."""

    id: Required[str]
    summary: Required[str]
    links: Mapping[str, Mapping[str, Any]]
    example: Any


class Declared(Described, total=False):
    """What a caller of `operation` declares."""

    tag: Required[str]
    role: Required[Role | None]
    answer: Required[Any]
    parameters: tuple[Parameter, ...]
    problems: tuple[str, ...]
    answer_headers: Mapping[str, str]
    status: int
    media_type: str
    deadline: bool
    not_modified: bool
    may_be_down: bool


@overload
def operation(
    method: str, path: str, *, body: Body[B], **declared: Unpack[Declared]
) -> Callable[[Handler[B]], Operation]: ...


@overload
def operation(method: str, path: str, **declared: Unpack[Declared]) -> Callable[[Handler[None]], Operation]: ...


def operation(
    method: str, path: str, *, body: Body[Any] | None = None, **declared: Unpack[Declared]
) -> Callable[[Handler[Any]], Operation]:
    """Declare an operation: decorates its handler, whose docstring is the description.

    A parameter in the path is a UUID, which the handler finds as `call.id`. The names of a query's parameters are the
    only ones that the query may have.
    """

    def declare(handler: Handler[Any]) -> Operation:
        description = (handler.__doc__ or "").strip()
        return Operation(method=method, path=path, handler=handler, description=description, body=body, **declared)

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
        """Match as Starlette does, without its converters: every parameter is text up to the next slash."""
        path = self.path_regex.match(scope["path"])
        if path is None:
            return Match.NONE, {}
        parameters = path.groupdict()
        allowed = scope["method"] == self.operation.method
        return (Match.FULL if allowed else Match.PARTIAL), {"path_params": parameters, "route": self}

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler within the deadline and send what it answers or refuses."""
        call: Call[Any] = Call(cast("dict[str, Any]", scope), receive)
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
                await answer.run(receive, send, head_only=scope["method"] == "HEAD")
            else:
                await reply(answer, send)

    async def _run(self, call: Call[Any]) -> Answer:
        operation = self.operation
        if operation.role is not None:
            call.principal.require(operation.role)
        if not operation.deadline:
            await operation.read(call)
            return await operation.handler(call)
        async with asyncio.timeout(call.service.settings.request_deadline + GRACE):
            await operation.read(call)
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
    """Return the routes of the operations, in their order: the first that matches answers."""
    return [OperationRoute(operation) for operation in operations]
