"""The stream of a ledger that is put back: empty before, and filled from the outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger.backup.errors import UNDECIDED, BackupError
from chronicle_ledger.domain.payload import SHARDS
from chronicle_ledger.events import stream
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.publisher import JetStreamPublisher
from chronicle_ledger.events.sizes import largest_message
from chronicle_ledger.store import outbox
from chronicle_ledger.store.pool import Database

PUBLISHED_AT_ONCE = 1000

ATTEMPTS = 10
"""Windows of events in a row of which none is acknowledged, before this gives up."""


async def require_empty(bus: Bus) -> None:
    """Raise BackupError where the stream has messages or does not answer."""
    if not await bus.wait_connected(5.0):
        raise _unreachable("NATS cannot be reached")
    try:
        state = (await bus.jetstream().stream_info(stream.STREAM)).state
    except NotFoundError:
        return
    except (NatsError, TimeoutError) as error:
        raise _unreachable(f"JetStream does not answer ({str(error) or type(error).__name__})") from error
    if state.messages:
        raise BackupError(
            "stream_not_empty",
            f"stream {stream.STREAM} has {state.messages:,} messages, which may tell of more than the backup has."
            " Keep a copy of it, remove it, and run this again",
        )


async def publish(database: Database, bus: Bus, replicas: int, keep: Callable[[], Awaitable[None]]) -> None:
    """Make the stream and publish what waits in the outbox; `keep` is called before each window. Raises BackupError."""
    try:
        await stream.ensure_all(bus.jetstream(), replicas)
        await _publish(database, bus, keep)
    except (NatsError, BusUnavailable, TimeoutError) as error:
        raise _unreachable(f"JetStream does not answer ({str(error) or type(error).__name__})") from error


async def _publish(database: Database, bus: Bus, keep: Callable[[], Awaitable[None]]) -> None:
    publisher = JetStreamPublisher(bus)
    silent = 0
    while True:
        await keep()
        async with database.connection() as conn:
            waiting = await outbox.waiting(conn, range(SHARDS), PUBLISHED_AT_ONCE, largest_message(bus))
            messages = await outbox.messages(conn, waiting)
        if not messages:
            return
        published = await publisher.publish(messages)
        async with database.connection() as conn:
            await outbox.delete(conn, published.acknowledged)
        silent = 0 if published.acknowledged else silent + 1
        if silent == ATTEMPTS:
            raise _unreachable(f"JetStream acknowledges nothing ({published.reason})")


def _unreachable(why: str) -> BackupError:
    return BackupError(
        "stream_unreachable",
        f"{why}; start it (or check CHRONICLE_NATS_URLS), and run this again (with --restart once it had begun)",
        UNDECIDED,
    )
