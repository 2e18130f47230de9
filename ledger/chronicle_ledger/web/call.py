"""One request as a handler sees it, and its answer: only what handlers need, because the hot path pays for all of it.

Starlette's Request builds headers, URL and query objects of its own for each request. A handler here needs the body,
two or three headers, the query and the id in the path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import msgspec

from chronicle_ledger.web.parameters import NO_QUERY, Query

if TYPE_CHECKING:
    from chronicle_ledger.web.access import Principal
    from chronicle_ledger.web.service import Service

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Scope = dict[str, Any]

JSON = "application/json"

B = TypeVar("B")


class ClientDisconnected(Exception):
    """The caller went away before its body had arrived, so there is no connection to answer on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and further headers. `value` is encoded as JSON; bytes are sent as they are."""

    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the bytes to send."""
        return self.value if isinstance(self.value, bytes) else msgspec.json.encode(self.value)


class Call(Generic[B]):
    """A request: its ASGI scope, and the parts that its operation declares, which `Operation.read` fills in.

    `id` is the UUID in the path, `query` the declared parameters, `body` the decoded body. A part that the operation
    does not declare is not there: reading it is a defect.
    """

    __slots__ = ("_receive", "body", "id", "query", "scope")

    id: UUID
    body: B

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.query: Query = NO_QUERY

    @property
    def service(self) -> Service:
        """Return the parts of the running API."""
        service: Service = self.scope["chronicle.service"]
        return service

    @property
    def principal(self) -> Principal:
        """Return the caller."""
        principal: Principal = self.scope["chronicle.principal"]
        return principal

    @property
    def request_id(self) -> str:
        """Return the id under which the log has this request."""
        request_id: str = self.scope["chronicle.request_id"]
        return request_id

    @property
    def path_parameters(self) -> Mapping[str, str]:
        """Return the path's parameters as text."""
        parameters: Mapping[str, str] = self.scope["path_params"]
        return parameters

    def canonical(self, path: str) -> str:
        """Return `path`, the operation's, with the id filled in as `UUID` spells it, however the caller spelled it."""
        names = self.path_parameters
        return path.format_map(dict.fromkeys(names, self.id)) if names else path

    def header(self, name: bytes) -> str | None:
        """Return the first header of that name (lower case), decoded as Latin-1."""
        for key, value in self.scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text
        return None

    async def content(self) -> bytes:
        """Return the whole body, whose size the edge bounds. Raises ClientDisconnected."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            whole: bytes = message["body"]  # the usual case: one piece, no copy
            return whole
        pieces = []
        while message["type"] == "http.request":
            pieces.append(message["body"])
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await self._receive()
        raise ClientDisconnected
