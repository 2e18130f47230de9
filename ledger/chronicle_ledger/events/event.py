"""An event as it comes from the stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from chronicle_contract.money import CURRENCY
from chronicle_ledger.domain.amounts import MAX_BALANCE, MIN_BALANCE
from chronicle_ledger.domain.payload import SCHEMA
from chronicle_ledger.domain.transaction import TransactionKind

# No value gets through that the database could refuse: a message that can be decoded can be written.
Minor = Annotated[int, Meta(ge=MIN_BALANCE, le=MAX_BALANCE)]
Version = Annotated[int, Meta(ge=1, le=MAX_BALANCE)]
# (?!\n): $ matches before a last line break too.
Currency = Annotated[str, Meta(pattern=rf"^{CURRENCY}(?!\n)$")]
# PostgreSQL keeps no NUL in a text.
Subject = Annotated[str, Meta(pattern=r"^[^\x00]*(?!\n)$")]
Moment = Annotated[datetime, Meta(tz=True)]

FIRST_YEAR, LAST_YEAR = 1899, 9001
"""In UTC: callers may give years from 1900 to 9000, at any offset."""


class Unreadable(Exception):
    """The message is not an event of this ledger; its text says why, for whoever looks at the dead letters."""


class EventEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of an event, in minor units of `currency`."""

    account_id: UUID
    currency: Currency
    version: Version
    amount: Minor
    held: Minor
    balance_after: Minor
    held_after: Minor


class Event(msgspec.Struct, frozen=True):
    """One transaction, as the outbox wrote it."""

    schema: int
    id: UUID
    kind: TransactionKind
    posted_at: Moment
    effective_at: Moment
    hash: str
    entries: list[EventEntry]
    posted_by: Subject | None = None
    metadata: dict[str, Any] = {}
    details: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(Event)


def decode(data: bytes) -> Event:
    """Read a message. Raises Unreadable."""
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not an event: {error}") from error
    if event.schema != SCHEMA:
        raise Unreadable(f"schema {event.schema} is not {SCHEMA}: a newer ledger wrote it; upgrade the projector")
    if not event.entries:
        raise Unreadable("an event has entries")
    for moment in (event.posted_at, event.effective_at):
        # The day of a time is its day in UTC, which is the only offset that the ledger writes.
        if moment.utcoffset() != timedelta(0) or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise Unreadable(f"the time {moment.isoformat()} is not one of UTC's years {FIRST_YEAR} to {LAST_YEAR}")
    return event
