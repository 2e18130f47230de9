"""How large an event may be, and how large a message NATS takes."""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.stream import MAX_MESSAGE
from chronicle_ledger.store.outbox import Waiting

LARGEST_EVENT = 256 << 10
"""Bytes that no event exceeds: 500 entries and 16 KiB of metadata, each of its characters escaped, are 180 KiB."""

HEADERS = 1024
"""Bytes that are left for the headers of an event, which a server counts too."""

OLD_SECONDS = 30.0
"""An event that waits for so long may be one that is too large."""


def largest_message(bus: Bus) -> int:
    """Bytes of the largest event that gets through now. Raises BusUnavailable."""
    return min(bus.client.max_payload, MAX_MESSAGE) - HEADERS


def too_small_server(bus: Bus) -> str | None:
    """What to say of a server that takes less than an event may have, else None. Raises BusUnavailable."""
    largest = largest_message(bus)
    if largest >= LARGEST_EVENT:
        return None
    return (
        f"NATS takes messages of {bus.client.max_payload:,} bytes at most, and an event may have {LARGEST_EVENT:,}: set"
        f" max_payload to at least {LARGEST_EVENT + HEADERS:,} in the servers' configuration and restart them. Larger"
        " events wait in the outbox"
    )


def worth_a_look(largest: int, oldest_seconds: float) -> bool:
    """Whether an event may be in the outbox that is larger than `largest`. Looking for one reads the whole outbox."""
    return largest < LARGEST_EVENT or oldest_seconds > OLD_SECONDS


def windows(rows: Sequence[Waiting], count: int, bytes_: int) -> list[list[Waiting]]:
    """Cut `rows` into windows of so many messages and bytes at most; a larger message stands alone."""
    cut: list[list[Waiting]] = []
    size = 0
    for row in rows:
        if not cut or len(cut[-1]) >= count or size + row.bytes > bytes_:
            cut.append([])
            size = 0
        cut[-1].append(row)
        size += row.bytes
    return cut
