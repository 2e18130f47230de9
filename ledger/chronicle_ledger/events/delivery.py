"""Messages into the read model. One that cannot be used is found and named; it stops none of those around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from nats.aio.msg import Msg

from chronicle_ledger.events.event import Event, Unreadable, decode
from chronicle_ledger.events.view_writer import ViewWriter
from chronicle_ledger.store.failures import DATABASE_ERRORS, refuses_content
from chronicle_ledger.store.view_rows import Progress, ViewEntry

ENTRIES = 10_000
"""Entries in one transaction of the read model. Messages say little: a transaction has two entries, or hundreds."""


@dataclass(slots=True)
class Delivered:
    """What became of a batch: messages of which an entry was applied, messages that brought nothing new, and entries
    that were read from the ledger. `dead` gives the reason for each message (by its place) that could not be used."""

    applied: int = 0
    skipped: int = 0
    gaps: int = 0
    dead: dict[int, str] = field(default_factory=dict)

    def add(self, part: Delivered, offset: int) -> None:
        """Count a part of the batch in, whose first message is at `offset`."""
        self.applied += part.applied
        self.skipped += part.skipped
        self.gaps += part.gaps
        self.dead |= {offset + number: reason for number, reason in part.dead.items()}


async def deliver(writer: ViewWriter, messages: Sequence[Msg]) -> Delivered:
    """Bring messages into the view and commit, `ENTRIES` at a time. Raises DatabaseUnavailable, and what the database
    refuses whatever the messages say (its tables are missing)."""
    events = [_event(message) for message in messages]
    whole = Delivered()
    sizes = [len(event.entries) if isinstance(event, Event) else 0 for event in events]
    for begin, end in parts(sizes, ENTRIES):
        whole.add(await _deliver(writer, messages[begin:end], events[begin:end]), begin)
    return whole


def parts(sizes: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Cut messages of so many entries into parts (first, end) of `most` entries; a larger message stands alone."""
    cuts = [0]
    total = 0
    for number, size in enumerate(sizes):
        if total + size > most and number > cuts[-1]:
            cuts.append(number)
            total = 0
        total += size
    return list(pairwise([*cuts, len(sizes)]))


async def _deliver(writer: ViewWriter, messages: Sequence[Msg], events: Sequence[Event | str]) -> Delivered:
    entries, progress, bad = _read(messages, events)
    try:
        outcome = await writer.apply(entries, progress)
        dead = bad | outcome.dead
        applied = len(outcome.sources)
        return Delivered(applied, len(messages) - applied - len(dead), outcome.gaps, dead)
    except DATABASE_ERRORS as error:
        if not refuses_content(error) or not entries:
            raise
        refusal = error
    if len(messages) == 1:
        await writer.apply([], replace(progress, posted_at=None, dead=1))
        return Delivered(dead={0: f"the database refuses it: {str(refusal).strip()}"})
    # Neither half need be at fault alone; the message that is will stand alone in the end.
    middle = len(messages) // 2
    whole = Delivered()
    whole.add(await _deliver(writer, messages[:middle], events[:middle]), 0)
    whole.add(await _deliver(writer, messages[middle:], events[middle:]), middle)
    return whole


def _event(message: Msg) -> Event | str:
    """The event of a message, or the reason why it is none."""
    try:
        return decode(message.data)
    except Unreadable as error:
        return str(error)


def _read(messages: Sequence[Msg], events: Sequence[Event | str]) -> tuple[list[ViewEntry], Progress, dict[int, str]]:
    entries: list[ViewEntry] = []
    bad: dict[int, str] = {}
    newest: datetime | None = None
    for number, event in enumerate(events):
        if isinstance(event, str):
            bad[number] = event
            continue
        entries.extend(entries_of(event, number))
        newest = event.posted_at if newest is None else max(newest, event.posted_at)
    place = messages[-1].metadata
    return entries, Progress(place.sequence.stream, place.num_pending or 0, newest, dead=len(bad)), bad


def entries_of(event: Event, source: int | None) -> list[ViewEntry]:
    """An event's entries on their way into the view."""
    return [
        ViewEntry(
            e.account_id, e.currency, e.version, e.amount, e.held, e.balance_after, e.held_after,
            event.id, event.kind.value, event.effective_at, event.posted_at, event.posted_by, source,
        )
        for e in event.entries
    ]  # fmt: skip
