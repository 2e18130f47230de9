"""The stream as a feed that can be resumed: each event has an id that says where to go on.

An id is `<incarnation>-<sequence>`: the second names a message, the first the stream that holds it (its time of
creation). A stream that was lost and made again counts from 1, so an id of another incarnation is answered from the
beginning. Delivery is at least once: `reconcile` publishes lost events again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger import logs
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.puller import ConsumerGone
from chronicle_ledger.events.replay import MessagesMissed, follow
from chronicle_ledger.events.stream import STREAM

log = logs.get(__name__)


class BadPosition(ValueError):
    """Not an id of this feed."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on: after `sequence` of stream `incarnation` (milliseconds since 1970)."""

    incarnation: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read an id. Raises BadPosition."""
        incarnation, _, sequence = text.partition("-")
        if not (incarnation.isascii() and incarnation.isdigit() and sequence.isascii() and sequence.isdigit()):
            raise BadPosition(text)
        if len(text) > 40:
            raise BadPosition(text)
        return cls(int(incarnation), int(sequence))


@dataclass(frozen=True, slots=True)
class Item:
    """An event with its id; `data` None: nothing came for a while, or (`reset`) the stream was made anew."""

    position: Position | None
    data: bytes | None
    reset: bool = False


async def feed(
    bus: Bus, after: Position | None, *, from_start: bool, stopped: Callable[[], bool]
) -> AsyncGenerator[Item]:
    """Events after `after`; without it those that come from now on, or all (`from_start`). Goes on across outages of
    NATS until `stopped()`; yields an empty item every second in which nothing comes."""
    at = after
    while not stopped():
        try:
            js = bus.jetstream()
            info = await js.stream_info(STREAM)
            incarnation = int(info.created.timestamp() * 1000) if info.created else 0
            if at is None:
                at = Position(incarnation, 0 if from_start else info.state.last_seq)
            elif at.incarnation != incarnation or at.sequence > info.state.last_seq:
                at = Position(incarnation, 0)
                yield Item(at, None, reset=True)
            async with contextlib.aclosing(follow(js, STREAM, at.sequence + 1)) as messages:
                async for message in messages:
                    if stopped():
                        return
                    if message is None:
                        yield Item(None, None)
                        continue
                    at = Position(incarnation, message.metadata.sequence.stream)
                    yield Item(at, message.data)
        except (NatsError, BusUnavailable, ConsumerGone, MessagesMissed, NotFoundError, TimeoutError, OSError) as error:
            log.debug("feed interrupted", error=str(error) or type(error).__name__)
            yield Item(None, None)
            await asyncio.sleep(1.0)
