"""Reading a stream from a sequence on, in order, without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from chronicle_ledger.events.puller import Puller

BATCH = 1000

SILENCE_SECONDS = 10.0
"""A reader that hears nothing for so long although there is more stops with StreamSilent."""


class StreamSilent(Exception):
    """The stream has more, but nothing comes: a server went away while it was read. Try again."""


async def replay(
    js: JetStreamContext, stream: str, *, start: int = 1, last: int | None = None, follow: bool = False
) -> AsyncIterator[Msg]:
    """The messages of `stream` from sequence `start` to `last` (default: its last one now), or for ever to `follow`.

    Raises StreamSilent, puller.ConsumerGone, and nats-py's errors.
    """
    if not follow:
        state = (await js.stream_info(stream)).state
        last = min(state.last_seq, last) if last is not None else state.last_seq
        start = max(start, state.first_seq)
        if state.messages == 0 or start > last:
            return
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=60.0,
    )
    info = await js.add_consumer(stream, config)
    puller = Puller(js._nc, stream, info.name, BATCH)  # noqa: SLF001 - nats-py has no other way to its client
    await puller.open()
    try:
        silent = 0.0
        while True:
            messages = await puller.next(1.0)
            if not messages and not follow:
                silent += 1.0
                # Messages at the very end may have been deleted: then nothing is left to come.
                if (await js.consumer_info(stream, info.name)).num_pending == 0:
                    return
                if silent >= SILENCE_SECONDS:
                    raise StreamSilent(f"{stream} has more messages but delivers none; try again")
            for message in messages:
                silent = 0.0
                sequence = message.metadata.sequence.stream
                if last is not None and sequence > last:
                    return
                yield message
                if last is not None and sequence == last:
                    return
    finally:
        with contextlib.suppress(NatsError, asyncio.TimeoutError):
            await puller.close()
            await js.delete_consumer(stream, info.name)
