"""`chronicle reconcile`: outbox, stream and read model repaired from the ledger, which is never changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg

from chronicle_ledger import logs
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.events import dead, stream
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.publisher import JetStreamPublisher
from chronicle_ledger.events.view_writer import ViewWriter, in_transaction
from chronicle_ledger.proof import Proof, Result, prove
from chronicle_ledger.proof.contradictions import Contradiction
from chronicle_ledger.proof.restore_ledger import damaged, restore_from_stream
from chronicle_ledger.store import outbox, view_generations, view_writes
from chronicle_ledger.store.outbox import Pending
from chronicle_ledger.store.pool import Connection, Database

log = logs.get(__name__)

PUBLISHED_AT_ONCE = 500


class ReconcileFailed(Exception):
    """A repair could not be made; what was repaired before stays, and running it again goes on."""


@dataclass(slots=True)
class Reconciled:
    """What was repaired, and the proof that said what to repair."""

    before: Proof
    published: int = 0
    removed: int = 0
    accounts: int = 0
    rewritten: int = 0
    """Rows of the outbox."""
    restored: int = 0
    """Transactions of the ledger, from the stream."""
    letters: int = 0
    """Dead letters that there are now: what was removed is evidence."""


class LedgerDamaged(Exception):
    """The ledger itself is not as it was posted. Copying it over the stream would destroy the only other witness."""


class Contradicted(Exception):
    """Ledger and events say different things, and only a person can say which one was changed. Nothing was repaired."""


class Trust(StrEnum):
    """Which witness is right where they contradict each other."""

    LEDGER = "ledger"
    STREAM = "stream"


def require_sound_ledger(proof: Proof) -> None:
    """Raise LedgerDamaged where the ledger itself is not as it was posted."""
    if found := damaged(proof):
        hint = "; `chronicle reconcile --trust-stream` restores from there" if proof.contradictions.count else ""
        raise LedgerDamaged(
            f"the ledger itself is not as it was posted, so nothing was repaired: {'; '.join(found)}. Restore the rows"
            f" first; the stream's messages (chronicle proof names them) still say what was posted{hint}"
        )


def _contradicted(told: str) -> Contradicted:
    return Contradicted(
        f"ledger and events contradict each other, so one of them was changed, and nothing was repaired: {told}."
        " Find out which one tells the truth (seals, backups, `chronicle events dead`), and run this again with"
        " --trust-ledger or --trust-stream"
    )


def _require_compared_stream(proof: Proof) -> None:
    """Nothing to repair is said only of what was looked at."""
    for check in proof.checks:
        if check.name == "stream" and check.result is Result.INCONCLUSIVE:
            raise ReconcileFailed(f"the stream could not be compared, so nothing was repaired: {check.message}")


def _event(transaction: Transaction) -> Pending:
    """The transaction's event, made again from the ledger."""
    return Pending(shard_of(transaction), transaction.id, payload_of(transaction), transaction.posted_at)


class Reconcile:
    """One run. `replicas` is what a stream that has to be made anew gets. `trust` is what a person decided about
    contradictions; without it they are refused, and only what is missing, unreadable or misplaced is repaired."""

    def __init__(self, database: Database, bus: Bus | None, replicas: int, trust: Trust | None = None) -> None:
        self._trust = trust
        self._database = database
        self._bus = bus
        self._replicas = replicas
        self._writer = ViewWriter(database)
        # JetStream drops a message whose id it has seen lately, also when the message itself is gone. So what is
        # published again has an id of its own.
        self._publisher = None if bus is None else JetStreamPublisher(bus, id_suffix=f"#{time.time_ns():x}")
        self._waiting: list[Pending] = []
        self._published = 0
        self._removed = 0
        self._rewritten = 0
        self._accounts: set[UUID] = set()

    async def run(self) -> Reconciled:
        """Compare, and repair what differs. Raises LedgerDamaged, Contradicted, NotRestored, ReconcileFailed,
        DatabaseUnavailable."""
        if self._bus is not None:
            if not await self._bus.wait_connected(5.0):
                raise ReconcileFailed(
                    "NATS cannot be reached; start it (or check CHRONICLE_NATS_URLS) and run it again"
                )
            try:
                await stream.ensure_all(self._bus.jetstream(), self._replicas)
            except stream.StreamWouldShrink as error:
                log.warning("the stream is not as declared", error=str(error))
            except (NatsError, TimeoutError) as error:
                raise ReconcileFailed(f"JetStream does not answer ({error}); run it again") from error
        before = await prove(self._database, self._bus)
        if before.result is Result.PASSED:
            return Reconciled(before, letters=await self._letters())
        first, restored = before, 0
        if self._trust is Trust.STREAM and self._bus is not None:
            _require_compared_stream(before)
            restored = await restore_from_stream(self._database, self._bus, before.contradictions)
            before = await prove(self._database, self._bus)
        require_sound_ledger(before)
        _require_compared_stream(before)
        if before.contradictions.count and self._trust is not Trust.LEDGER:
            raise _contradicted(before.contradictions.told())
        before = await prove(self._database, self._bus, view_repair=self._remember, stream_repair=self)
        _require_compared_stream(before)
        await self._flush()
        for account in sorted(self._accounts):
            await self._repair(account)
        return Reconciled(
            first, self._published, self._removed, len(self._accounts), self._rewritten, restored,
            await self._letters(),
        )  # fmt: skip

    async def _letters(self) -> int:
        """How many dead letters there are; 0 also where JetStream does not say."""
        if self._bus is None:
            return 0
        try:
            return (await self._bus.jetstream().stream_info(stream.DEAD_STREAM)).state.messages
        except (NatsError, TimeoutError):
            return 0

    async def contradicted(self, contradiction: Contradiction) -> None:
        """Stop at what came between the two looks, unless the ledger is trusted."""
        if self._trust is not Trust.LEDGER:
            raise _contradicted(str(contradiction))

    async def _remember(self, account: UUID) -> None:
        self._accounts.add(account)

    async def missing(self, transaction: Transaction) -> None:
        """Publish the transaction's event, made again from the ledger."""
        self._waiting.append(_event(transaction))
        if len(self._waiting) >= PUBLISHED_AT_ONCE:
            await self._flush()

    async def foreign(self, transaction: UUID, sequences: list[int]) -> None:
        """Put the messages aside and delete them from the stream."""
        for sequence in sequences:
            await self._remove(sequence, f"reconcile: not what the ledger says of {transaction}")

    async def unreadable(self, sequence: int, reason: str) -> None:
        """Put the message aside and delete it from the stream."""
        await self._remove(sequence, f"reconcile: {reason}")

    async def waiting(self, id_: UUID, shards: list[int], transaction: Transaction | None) -> None:
        """Write the outbox row anew, or remove it where there is no such transaction.

        A relay that had read the wrong row already may still publish it: the next proof finds that message, and the
        next run replaces it.
        """
        right = None if transaction is None else _event(transaction)

        async def anew(conn: Connection) -> int:
            return await outbox.replace(conn, id_, shards, right)

        self._rewritten += await in_transaction(self._database, anew)
        log.info("rows of the outbox written anew", transaction=str(id_), shards=shards)

    async def _flush(self) -> None:
        if self._publisher is None or not self._waiting:
            return
        waiting = sorted(self._waiting, key=lambda row: (row.created_at, row.id))
        self._waiting = []
        for _ in range(5):
            try:
                result = await self._publisher.publish(waiting)
            except BusUnavailable as error:
                raise ReconcileFailed(f"{error} Run it again when they are.") from error
            self._published += len(result.acknowledged)
            done = {row.id for row in result.acknowledged}
            waiting = [row for row in waiting if row.id not in done]
            if not waiting:
                return
        raise ReconcileFailed(f"JetStream does not acknowledge ({result.reason}); run it again")

    async def _remove(self, sequence: int, reason: str) -> None:
        if self._bus is None:
            return
        js = self._bus.jetstream()
        try:
            message: RawStreamMsg = await js.get_msg(stream.STREAM, seq=sequence)
            await dead.keep(js, message.data or b"", reason, message.subject or "", sequence)
            await js.delete_msg(stream.STREAM, sequence)
        except (NatsError, TimeoutError) as error:
            raise ReconcileFailed(f"message {sequence} could not be removed ({error}); run it again") from error
        self._removed += 1

    async def _repair(self, account: UUID) -> None:
        async def anew(conn: Connection) -> None:
            generation = await view_writes.lock_generation(conn)
            await view_generations.delete_account(conn, generation, account)
            await self._writer.fill_page(conn, generation, account)

        await in_transaction(self._database, anew)
        # An account with a longer history than one page is brought on in further transactions.
        await self._writer.fill(account)
        log.info("account of the read model made anew", account=str(account))
