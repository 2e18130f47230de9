"""Transactions as they are posted, as server-sent events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from enum import StrEnum

from chronicle_ledger.events.feed import BadPosition, Item, Position, feed
from chronicle_ledger.web.access import ANYONE, Admission, Role
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import Parameter, invalid
from chronicle_ledger.web.problems import Problem
from chronicle_ledger.web.stream import EventStream

KEEP_ALIVE_SECONDS = 10


class Start(StrEnum):
    """Where a reader without Last-Event-ID begins."""

    START = "start"
    NOW = "now"


@operation(
    "GET",
    "/v1/events",
    id="streamEvents",
    tag="events",
    summary="Follow transactions as server-sent events",
    role=Role.READER,
    answer=str,
    media_type="text/event-stream",
    deadline=False,
    parameters=(
        Parameter("Last-Event-ID", "header", {"type": "string"}, "Go on after this event."),
        Parameter("from", "query", {"type": "string", "enum": ["start", "now"]}, "Where to begin without it."),
    ),
    problems=("validation_failed", "too_many_streams", "events_unavailable"),
)
async def stream_events(call: Call[None]) -> Answer:
    """Each event `transaction` has the transaction as JSON and an id to resume with. At least once: know events by the
    transaction's id. An event `reset` says that the stream was made anew and is sent from its beginning. The answer
    does not end by itself; comments keep it alive, also while NATS is out. It ends when the key is revoked, and where
    nothing of it is taken for 20 seconds. An instance serves 32 streams at once, 8 of one key."""
    start = call.query.choice("from", Start) or Start.NOW
    last = call.header(b"last-event-id")
    try:
        after = Position.parse(last) if last else None
    except BadPosition:
        raise invalid("Last-Event-ID", "take it, unchanged, from an event's id") from None
    bus = call.service.events.bus
    if bus is None:
        raise Problem("events_unavailable", "This service has no event stream: CHRONICLE_NATS_URLS is not set.")
    service, principal = call.service, call.principal
    admission = Admission(service.keyring, call.header(b"authorization"), Role.READER)
    ended = service.streams.take(principal.name, shared=principal is ANYONE)
    items = feed(bus, after, from_start=start is Start.START, stopped=lambda: service.lifecycle.draining)
    return EventStream(200, None, chunks=encoded(items, admission), ended=ended)


async def encoded(items: AsyncGenerator[Item], admission: Admission) -> AsyncGenerator[bytes]:
    """The feed in the format of server-sent events, as long as the caller may read it."""
    async with contextlib.aclosing(items):
        yield b": the stream of transactions\n\n"
        quiet = 0
        async for item in items:
            if not admission.holds():
                return
            if item.position is None:
                quiet += 1
                if quiet % KEEP_ALIVE_SECONDS == 0:
                    if not admission.holds(again=True):
                        return
                    yield b": still here\n\n"
            elif item.data is None:
                yield f"id: {item.position}\nevent: reset\ndata: {{}}\n\n".encode()
            else:
                quiet = 0
                # A payload is canonical JSON on one line.
                yield f"id: {item.position}\nevent: transaction\ndata: ".encode() + item.data + b"\n\n"


OPERATIONS = (stream_events,)
"""The feed's operation."""
