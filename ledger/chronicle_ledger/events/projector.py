"""The projector: from JetStream to the read model, each entry once, in whatever order its message comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from chronicle_ledger import logs, metrics, sabotage
from chronicle_ledger.ending import end
from chronicle_ledger.events import bus as buses
from chronicle_ledger.events import dead, stream
from chronicle_ledger.events.backoff import Backoff
from chronicle_ledger.events.bus import TROUBLE, Bus, BusUnavailable
from chronicle_ledger.events.delivery import deliver
from chronicle_ledger.events.puller import ConsumerGone, Puller
from chronicle_ledger.events.relay import database_of, worker_name
from chronicle_ledger.events.shares import LEASE_SECONDS, Shares
from chronicle_ledger.events.view_writer import ViewWriter
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.settings import Settings
from chronicle_ledger.store.pool import Database

log = logs.get(__name__)

BATCH = 500
IDLE_SECONDS = 1.0


class Projector:
    """One process of the projector. One works at a time, by lease; the others wait to take over.

    Dividing the work would gain nothing: the parts would meet on the same accounts, and each would find gaps that the
    other is about to fill. Two at once (a lease overrun) are harmless, by the version rule.
    """

    name = "projector"

    def __init__(
        self,
        open_database: Callable[[], Awaitable[Database]],
        bus: Bus,
        *,
        worker: str,
        lease_seconds: float = LEASE_SECONDS,
        ack_wait: float = stream.ACK_WAIT_SECONDS,
        broken: Sabotage | None = None,
    ) -> None:
        self._open_database = open_database
        self._database: Database | None = None
        self._bus = bus
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._ack_wait = ack_wait
        self._broken = broken
        self._shares: Shares | None = None
        self._writer: ViewWriter | None = None
        self._puller: Puller | None = None
        self._backoff = Backoff()
        self._ending = asyncio.Event()
        self._complaint: str | None = None
        self.active = False

    async def start(self) -> None:
        """Begin to connect to both servers; neither need be there."""
        self._database = await self._open_database()
        self._shares = Shares(self._database, "projector", self._worker, ["view"], seconds=self._lease_seconds)
        self._writer = ViewWriter(self._database, self._broken)
        self._bus.start()

    async def run(self) -> None:
        """Project until drained."""
        if self._shares is None:
            raise RuntimeError("start() comes first")
        renewing = asyncio.create_task(self._shares.run())
        try:
            while not self._ending.is_set():
                self.active = bool(self._shares.held)
                pause = await self._step() if self.active else await self._stand_by()
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._ending.wait()
        finally:
            self.active = False
            await end(renewing)
            await self._shares.give_up()

    async def _stand_by(self) -> float:
        await self._close_puller()
        metrics.PROJECTOR_PENDING.set(0)  # whoever works says how many wait; summed over all, they count once
        return 0.1

    async def _step(self) -> float:
        """One batch; returns how many seconds to wait before the next."""
        if not await self._bus.wait_connected(0.5):
            metrics.PROJECTOR_PENDING.forget()
            return 0.0
        try:
            puller = self._puller or await self._open_puller()
            messages = await puller.next(IDLE_SECONDS)
            if messages:
                with metrics.PROJECTOR_BATCH_SECONDS.time():
                    await self.project(messages)
            self._backoff.after_success()
        except (*TROUBLE, ConsumerGone) as error:
            # What was delivered and not acknowledged comes again after `ack_wait`, or at once to a new request.
            log.warning("projecting failed; trying again", error=str(error).strip() or type(error).__name__)
            await self._close_puller()
            return self._backoff.after_failure()
        return 0.0

    async def _open_puller(self) -> Puller:
        js = self._bus.jetstream()
        try:
            await stream.require(js)
        except BusUnavailable as error:
            self._complaint = str(error)
            raise
        self._complaint = None
        await stream.ensure_consumer(js, self._ack_wait)
        puller = Puller(self._bus.client, stream.STREAM, stream.CONSUMER, BATCH)
        await puller.open()
        self._puller = puller
        return puller

    async def _close_puller(self) -> None:
        puller, self._puller = self._puller, None
        if puller is not None:
            with contextlib.suppress(NatsError, TimeoutError, OSError):
                await puller.close()

    async def project(self, messages: Sequence[Msg]) -> None:
        """Bring messages into the view, commit, put aside what cannot be used, acknowledge. In this order: whatever
        happens in between, a message that had no effect comes again, and one that had is skipped."""
        if self._writer is None:
            raise RuntimeError("start() comes first")
        outcome = await deliver(self._writer, messages)
        bad = outcome.dead
        metrics.PROJECTED.labels("applied").inc(outcome.applied)
        metrics.PROJECTED.labels("skipped").inc(outcome.skipped)
        metrics.PROJECTED.labels("dead").inc(len(bad))
        metrics.PROJECTOR_GAPS.inc(outcome.gaps)
        metrics.PROJECTOR_PENDING.set(messages[-1].metadata.num_pending or 0)
        for number, reason in bad.items():
            log.error("message put aside; see `chronicle events dead`", reason=reason, subject=messages[number].subject)
            await dead.bury(self._bus.jetstream(), messages[number], reason)
        for message in messages:
            await message.ack()

    async def ready(self) -> str | None:
        """Ready once connected to NATS, working or standing by."""
        if not self._bus.connected:
            return "NATS cannot be reached; the read model waits"
        return self._complaint

    async def drain(self, seconds: float) -> None:
        """Finish the batch in hand."""
        del seconds
        self._ending.set()

    async def stop(self) -> None:
        """Close both connections."""
        await self._close_puller()
        await self._bus.close()
        if self._database is not None:
            await self._database.close()


def build(settings: Settings) -> Projector:
    """The projector that `settings` describe."""
    return Projector(
        database_of(settings, "projector"),
        buses.of(settings, "projector"),
        worker=worker_name(settings),
        broken=sabotage.active(),
    )
