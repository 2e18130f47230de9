"""One request as a handler sees it, and its answer: as little as the handlers need, because the hot path pays for all.

Starlette's Request parses lazily and builds headers, URL and query objects of its own for each request; a handler here
needs the body, two or three headers and the path's parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from chronicle_ledger.api.access import Principal
    from chronicle_ledger.api.service import Service

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Scope = dict[str, Any]

JSON = "application/json"


class ClientDisconnected(Exception):
    """The caller went away before its body had arrived; nobody waits for an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and further headers. `value` is encoded as JSON; bytes are sent as they are."""

    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The bytes to send."""
        return self.value if isinstance(self.value, bytes) else msgspec.json.encode(self.value)


class Call:
    """A request: its ASGI scope, with the few things that handlers ask of it."""

    __slots__ = ("_receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive

    @property
    def service(self) -> Service:
        """What the handlers work with."""
        service: Service = self.scope["chronicle.service"]
        return service

    @property
    def principal(self) -> Principal:
        """Who asks."""
        principal: Principal = self.scope["chronicle.principal"]
        return principal

    @property
    def request_id(self) -> str:
        """The id under which the log has this request."""
        request_id: str = self.scope["chronicle.request_id"]
        return request_id

    @property
    def path_parameters(self) -> Mapping[str, str]:
        """The path's parameters as text."""
        parameters: Mapping[str, str] = self.scope["path_params"]
        return parameters

    def header(self, name: bytes) -> str | None:
        """The first header of that name (lower case), Latin-1 as HTTP has it."""
        for key, value in self.scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text
        return None

    async def body(self) -> bytes:
        """The whole body; its size is bounded by the edge. Raises ClientDisconnected."""
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
