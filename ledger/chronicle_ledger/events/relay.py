"""The outbox relay: from the database to JetStream, at least once, and forgotten only when acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

from chronicle_ledger import logs, metrics, sabotage
from chronicle_ledger.domain.payload import SHARDS
from chronicle_ledger.ending import end
from chronicle_ledger.events import bus as buses
from chronicle_ledger.events import dead, sizes, stream
from chronicle_ledger.events.backoff import Backoff, Pace
from chronicle_ledger.events.bus import TROUBLE, Bus
from chronicle_ledger.events.publisher import JetStreamPublisher, Publisher
from chronicle_ledger.events.shares import LEASE_SECONDS, Shares
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.settings import Settings
from chronicle_ledger.store import outbox
from chronicle_ledger.store.outbox import Pending, Waiting
from chronicle_ledger.store.pool import Database, open_pool

log = logs.get(__name__)

BATCH = 4000
"""Rows looked at together, without their messages. They are published oldest first, so that the projector meets few
gaps even after an outage."""

WINDOW = 1000
"""Messages read, and then in flight, before their rows are deleted."""

WINDOW_BYTES = 8 << 20
"""Bytes of them. A thousand events may be a hundred times as large as a thousand others."""

ALL_SHARDS = range(SHARDS)

SHOWN = 10
"""Events that are too large which are named at once."""

MEASURE_SECONDS = 5.0
"""Between two counts of the outbox for the metrics: on CockroachDB each reads the tombstones in its way."""


class Relay:
    """One process of the relay. Several may run; the leases of the shards keep them out of each other's way."""

    name = "relay"

    def __init__(
        self,
        open_database: Callable[[], Awaitable[Database]],
        bus: Bus,
        publisher: Publisher,
        *,
        worker: str,
        replicas: int,
        lease_seconds: float = LEASE_SECONDS,
        broken: Sabotage | None = None,
    ) -> None:
        self._open_database = open_database
        self._database: Database | None = None
        self._bus = bus
        self._publisher = publisher
        self._replicas = replicas
        self._broken = broken
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._shares: Shares | None = None
        self._backoff = Backoff()
        self._pace = Pace()
        self._ending = asyncio.Event()
        self._prepared = False
        self._complaint: str | None = None
        self._refusal: str | None = None
        self._told: set[UUID] = set()
        self.published = 0

    async def start(self) -> None:
        """Begin to connect to both servers; neither need be there."""
        self._database = await self._open_database()
        shards = [f"{shard:02}" for shard in range(SHARDS)]
        self._shares = Shares(self._database, "relay", self._worker, shards, seconds=self._lease_seconds)
        self._bus.start()

    @property
    def database(self) -> Database:
        """The database, once started."""
        if self._database is None:
            raise RuntimeError("start() comes first")
        return self._database

    @property
    def shares(self) -> Shares:
        """The leases of the shards, once started."""
        if self._shares is None:
            raise RuntimeError("start() comes first")
        return self._shares

    async def run(self) -> None:
        """Move events until drained."""
        helpers = [asyncio.create_task(self.shares.run()), asyncio.create_task(self._measure())]
        try:
            while not self._ending.is_set():
                pause = await self._step()
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._ending.wait()
        finally:
            await end(*helpers)
            await self.shares.give_up()

    async def _step(self) -> float:
        """One look at the outbox; returns how many seconds to wait before the next."""
        shards = [int(item) for item in self.shares.held]
        metrics.RELAY_SHARDS.set(len(shards))
        if not shards:
            return 0.05
        if not await self._bus.wait_connected(0.5):
            return 0.0
        try:
            if not self._prepared:
                await self._prepare()
            found, complete = await self.move(shards)
        except TROUBLE as error:
            metrics.RELAY_FAILURES.inc()
            log.warning("relay failed; trying again", error=str(error).strip() or type(error).__name__)
            return self._backoff.after_failure()
        if not complete:
            return self._backoff.after_failure()
        self._backoff.after_success()
        if not found:
            return self._pace.empty()
        return self._pace.found(all_of_it=found < WINDOW)

    async def _prepare(self) -> None:
        js = self._bus.jetstream()
        try:
            await stream.ensure_all(js, self._replicas)
        except stream.StreamWouldShrink as error:
            # Events still go into the stream as it is; refusing to change it must not hold them up.
            log.error("the stream is not as declared", error=str(error))  # noqa: TRY400 - the message says all
            self._complaint = str(error)
        except stream.SubjectsTaken as error:
            self._complaint = str(error)
            raise
        else:
            self._complaint = None
        self._prepared = True

    async def move(self, shards: Sequence[int]) -> tuple[int, bool]:
        """Publish what waits in `shards` and delete what is acknowledged; return how many rows there were, and whether
        all of them were acknowledged. Events that NATS does not take for their size stay where they are."""
        largest = sizes.largest_message(self._bus)
        async with self.database.connection() as conn:
            rows = await outbox.waiting(conn, shards, BATCH, largest)
        for window in sizes.windows(rows, WINDOW, WINDOW_BYTES):
            async with self.database.connection() as conn:
                messages = await outbox.messages(conn, window)
            if not await self._move_window(messages):
                return len(rows), False
        return len(rows), True

    async def _move_window(self, rows: Sequence[Pending]) -> bool:
        if self._broken is Sabotage.RELAY_EARLY_DELETE:
            await self._delete(rows)
        result = await self._publisher.publish(rows)
        metrics.RELAY_PUBLISHED.inc(len(result.acknowledged))
        metrics.RELAY_DUPLICATES.inc(result.duplicates)
        self.published += len(result.acknowledged)
        if self._broken is not Sabotage.RELAY_EARLY_DELETE:
            await self._delete(result.acknowledged)
        self._refusal = result.reason if result.refused else None
        if result.failed:
            metrics.RELAY_FAILURES.inc()
            # The stream may have been deleted behind our back, or another one have taken its subjects: look, and make
            # it again. Of the latter nothing is heard: nats-py drops an acknowledgement that is an error.
            self._prepared = False
            log.warning("not all events acknowledged", failed=result.failed, of=len(rows), reason=result.reason)
        return not result.failed

    async def _delete(self, rows: Sequence[Pending]) -> None:
        if rows:
            async with self.database.connection() as conn:
                await outbox.delete(conn, rows)

    async def _measure(self) -> None:
        """Count what waits. A figure that cannot be measured is absent, so that an alarm on it sees that."""
        while True:
            try:
                async with self.database.connection() as conn:
                    backlog = await outbox.backlog(conn)
            except TROUBLE as error:
                metrics.OUTBOX_BACKLOG.forget()
                metrics.OUTBOX_OLDEST.forget()
                metrics.OUTBOX_TOO_LARGE.forget()
                log.warning("backlog not measured", error=str(error).strip())
            else:
                metrics.OUTBOX_BACKLOG.set(backlog.events)
                metrics.OUTBOX_OLDEST.set(backlog.oldest_seconds)
                await self._measure_too_large(backlog.oldest_seconds)
            await asyncio.sleep(MEASURE_SECONDS)

    async def _measure_too_large(self, oldest_seconds: float) -> None:
        """Look for events that NATS does not take for their size, and tell of each once."""
        try:
            largest = sizes.largest_message(self._bus)
            if not sizes.worth_a_look(largest, oldest_seconds):
                metrics.OUTBOX_TOO_LARGE.set(0)
                return
            async with self.database.connection() as conn:
                large = await outbox.larger(conn, ALL_SHARDS, largest, SHOWN)
            metrics.OUTBOX_TOO_LARGE.set(len(large))
            for row in large:
                if row.id not in self._told:
                    await self._tell(row, largest)
        except TROUBLE as error:
            metrics.OUTBOX_TOO_LARGE.forget()
            log.debug("not looked for events that are too large", error=str(error).strip())

    async def _tell(self, row: Waiting, largest: int) -> None:
        """Name an event that is too large, in the log and among the dead letters. It stays in the outbox, and is
        published when the servers take it."""
        reason = (
            f"transaction {row.id}: its event of {row.bytes:,} bytes is larger than the {largest:,} that NATS takes; it"
            " waits in the outbox until max_payload of the servers is raised"
        )
        log.error("event set aside", reason=reason)
        async with self.database.connection() as conn:
            messages = await outbox.messages(conn, [row])
        for message in messages:
            once = {"Nats-Msg-Id": f"too-large-{row.id}"}
            payload = message.payload.encode()
            await dead.keep(self._bus.jetstream(), payload, reason, stream.subject(row.shard), 0, once)
        self._told.add(row.id)

    async def ready(self) -> str | None:
        """Ready once connected to NATS, with the stream as declared and servers that take every event, and did."""
        if not self._bus.connected:
            return "NATS cannot be reached; events wait in the outbox"
        return self._complaint or self._refusal or sizes.too_small_server(self._bus)

    async def drain(self, seconds: float) -> None:
        """Finish the window in hand; what is left stays in the outbox for another relay."""
        del seconds
        self._ending.set()

    async def stop(self) -> None:
        """Close both connections."""
        await self._bus.close()
        if self._database is not None:
            await self._database.close()


def worker_name(settings: Settings) -> str:
    """A name for this process that no other ever had: a restarted one must not take over its own old leases unseen."""
    return f"{settings.instance}-{time.time_ns():x}-{uuid4().hex[:6]}"


def build(settings: Settings) -> Relay:
    """The relay that `settings` describe."""
    bus = buses.of(settings, "relay")
    return Relay(
        database_of(settings, "relay"),
        bus,
        JetStreamPublisher(bus),
        worker=worker_name(settings),
        replicas=settings.nats_replicas,
        broken=sabotage.active(),
    )


def database_of(settings: Settings, role: str) -> Callable[[], Awaitable[Database]]:
    """Opens the database of `settings`; a relay or projector needs few connections."""

    async def opened() -> Database:
        return await open_pool(
            settings.database_url,
            size=min(3, settings.database_pool_size),
            statement_timeout=settings.statement_timeout,
            name=f"chronicle-{role}",
            pooler=settings.database_pooler,
        )

    return opened
