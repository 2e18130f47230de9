"""Reading a stream from a sequence on, in order, without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from chronicle_ledger.events.puller import ConsumerGone, Puller

BATCH = 1000

FEED_BATCH = 100
FEED_BYTES = (1 << 20) + (64 << 10)
"""What is asked for at once for a reader of the feed, which may be as slow as it likes. The largest message that the
stream takes fits, with its headers."""

SILENT_LOOKS = 10
"""A reader that hears nothing so many times in a row, a second each, although there is more, raises StreamSilent."""

LOOK_EVERY = 5


class StreamSilent(Exception):
    """The stream has more, but nothing comes: a server went away while it was read. Try again."""


class MessagesMissed(StreamSilent):
    """The consumer has sent messages that did not arrive: the client drops what it has no room for. Try again."""


class _Numbers:
    """The consumer's own count of what it has sent. It has no gaps; the stream's has, where messages were deleted."""

    def __init__(self) -> None:
        self._last = 0

    def check(self, message: Msg) -> None:
        """Raise MessagesMissed where messages before this one are missing."""
        number = message.metadata.sequence.consumer
        if number != self._last + 1:
            raise MessagesMissed(f"the consumer has sent {number - 1} messages before this one; {self._last} arrived")
        self._last = number


@contextlib.asynccontextmanager
async def _consumer(js: JetStreamContext, stream: str, start: int, **limits: Any) -> AsyncIterator[tuple[Puller, str]]:
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=60.0,
    )
    info = await js.add_consumer(stream, config)
    limits.setdefault("batch", BATCH)
    puller = Puller(js._nc, stream, info.name, **limits)  # noqa: SLF001 - nats-py has no other way to its client
    await puller.open()
    try:
        yield puller, info.name
    finally:
        with contextlib.suppress(NatsError, asyncio.TimeoutError):
            await puller.close()
            await js.delete_consumer(stream, info.name)


async def replay(js: JetStreamContext, stream: str) -> AsyncIterator[Msg]:
    """The messages of `stream` up to the last one it has now.

    Raises StreamSilent, puller.ConsumerGone, and nats-py's errors.
    """
    state = (await js.stream_info(stream)).state
    if state.messages == 0:
        return
    async with _consumer(js, stream, state.first_seq) as (puller, name):
        silent, numbers = 0, _Numbers()
        while True:
            try:
                messages = await puller.next(1.0)
            except ConsumerGone:
                # Word of a consumer made a moment ago may not have reached this server of the cluster. It is gone only
                # where the cluster says so, which raises here.
                await js.consumer_info(stream, name)
                await asyncio.sleep(0.5)
                messages = []
            for message in messages:
                numbers.check(message)
                silent = 0
                sequence = message.metadata.sequence.stream
                if sequence <= state.last_seq:
                    yield message
                if sequence >= state.last_seq:
                    return
            if not messages:
                silent += 1
                # Messages at the very end may have been deleted: then nothing is left to come.
                if (await js.consumer_info(stream, name)).num_pending == 0:
                    return
                if silent >= SILENT_LOOKS:
                    raise StreamSilent(f"{stream} has more messages but delivers none; try again")


async def follow(js: JetStreamContext, stream: str, start: int) -> AsyncGenerator[Msg | None]:
    """The messages of `stream` from sequence `start` on, without an end; None for each second without one.

    Raises MessagesMissed, puller.ConsumerGone and nats-py's errors.
    """
    limits = {"batch": FEED_BATCH, "max_bytes": FEED_BYTES, "ahead": False}
    async with _consumer(js, stream, start, **limits) as (puller, name):
        quiet, numbers = 0, _Numbers()
        while True:
            messages = await puller.next(1.0)
            for message in messages:
                numbers.check(message)
                yield message
            if not messages:
                yield None
                quiet += 1
                if quiet % LOOK_EVERY == 0:
                    # A consumer in memory is gone with its server, and then nothing comes, for ever.
                    await js.consumer_info(stream, name)
