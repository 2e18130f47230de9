"""An event as it comes from the stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chronicle_ledger.domain.payload import SCHEMA
from chronicle_ledger.domain.transaction import TransactionKind


class Unreadable(Exception):
    """The message is not an event of this ledger; its text says why, for whoever looks at the dead letters."""


class EventEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of an event, in minor units of `currency`."""

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int


class Event(msgspec.Struct, frozen=True):
    """One transaction, as the outbox wrote it."""

    schema: int
    id: UUID
    kind: TransactionKind
    posted_at: datetime
    effective_at: datetime
    hash: str
    entries: list[EventEntry]
    metadata: dict[str, Any] = {}
    details: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(Event)


def decode(data: bytes) -> Event:
    """Read a message. Raises Unreadable."""
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"not an event: {error}") from error
    if event.schema != SCHEMA:
        raise Unreadable(f"schema {event.schema} is not {SCHEMA}: a newer ledger wrote it; upgrade the projector")
    if not event.entries:
        raise Unreadable("an event has entries")
    if any(entry.version < 1 for entry in event.entries):
        raise Unreadable("versions begin at 1")
    return event
