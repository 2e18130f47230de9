"""`chronicle events restore-stream`: a stream that JetStream has lost, made again from the ledger."""

from __future__ import annotations

import asyncio
import contextlib

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_ledger import logs
from chronicle_ledger.events import stream
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.proof import prove
from chronicle_ledger.proof.reconcile import Reconcile, Reconciled, ReconcileFailed, require_sound_ledger
from chronicle_ledger.store.pool import Database

log = logs.get(__name__)

LOOKS = 5
"""Looks at a stream that does not answer before it is taken for lost."""

BETWEEN_LOOKS = 2.0

MAKING = 60.0
"""Seconds in which JetStream has to make the stream, with a leader."""


class StreamAnswers(Exception):
    """The stream is there and answers, so there is nothing to restore. Nothing was changed."""


class Restore:
    """One run. `replicas` is what the stream gets; `making` seconds bound how long JetStream may take to make it."""

    def __init__(
        self, database: Database, bus: Bus, replicas: int, pause: float = BETWEEN_LOOKS, making: float = MAKING
    ) -> None:
        self._database = database
        self._bus = bus
        self._replicas = replicas
        self._pause = pause
        self._making = making

    async def run(self) -> Reconciled:
        """Remove what is left of the stream, make it again, and publish what the ledger has.

        Raises StreamAnswers, LedgerDamaged (the stream would be the other witness), Contradicted, ReconcileFailed,
        SubjectsTaken.
        """
        if not await self._bus.wait_connected(5.0):
            raise ReconcileFailed("NATS cannot be reached; start it (or check CHRONICLE_NATS_URLS) and run it again")
        await self._require_lost()
        require_sound_ledger(await prove(self._database, None))
        await self._make()
        return await Reconcile(self._database, self._bus, self._replicas).run()

    async def _require_lost(self) -> None:
        """A stream that elects a leader is not lost, and neither is one whose servers are merely starting."""
        for look in range(LOOKS):
            try:
                info = await self._bus.jetstream().stream_info(stream.STREAM)
            except NotFoundError:
                return
            except (NatsError, TimeoutError):
                pass
            else:
                if info.cluster is None or info.cluster.leader:
                    raise StreamAnswers(
                        f"stream {stream.STREAM} is there and answers, so nothing was changed: `chronicle reconcile`"
                        " publishes what it lacks"
                    )
            if look < LOOKS - 1:
                await asyncio.sleep(self._pause)

    async def _make(self) -> None:
        reason = "no answer"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._making):
                while reason := await self._refusal():
                    log.info("the stream cannot be made yet", reason=reason)
                    await asyncio.sleep(self._pause)
                return
        raise ReconcileFailed(
            f"JetStream does not make stream {stream.STREAM} in {self._making:g} s ({reason}). Ask the monitor of each"
            " NATS server for /jsz: one whose meta_cluster is not the others' keeps them from working together. Stop"
            " it, empty its store, start it, and run this again: the messages are made again from the ledger"
        )

    async def _refusal(self) -> str:
        """Remove what is left of the stream and make it; why that did not do, or nothing."""
        js = self._bus.jetstream()
        try:
            with contextlib.suppress(NotFoundError):
                await js.delete_stream(stream.STREAM)
            info = await stream.ensure_all(js, self._replicas)
        except (NatsError, TimeoutError) as error:
            return str(error).strip() or type(error).__name__
        # A server that the others shut out may still tell of the stream that it had.
        return "" if info.cluster is None or info.cluster.leader else "it has no leader"
