"""Making a proof: read the outbox at one moment, then the stream, then everything else at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.puller import ConsumerGone
from chronicle_ledger.events.replay import StreamSilent, replay
from chronicle_ledger.events.stream import CONSUMER, STREAM
from chronicle_ledger.proof.accounts import AccountsAudit, Repair
from chronicle_ledger.proof.check import Check, Result, overall
from chronicle_ledger.proof.contradictions import Contradictions
from chronicle_ledger.proof.indexes import IndexesAudit
from chronicle_ledger.proof.said import Said
from chronicle_ledger.proof.sealed import SealsAudit
from chronicle_ledger.proof.service import ServiceAudit
from chronicle_ledger.proof.transactions import Known, StreamRepair, TransactionsAudit
from chronicle_ledger.proof.witness import Witness
from chronicle_ledger.seals import SealedChain
from chronicle_ledger.store import audit
from chronicle_ledger.store.pool import Connection, Database

CONNECT_SECONDS = 2.0
HEARD_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found. `head` is the hash over all accounts' heads: two ledgers with one head have one history."""

    at: datetime
    seconds: float
    checks: list[Check]
    accounts: int
    entries: int
    transactions: int
    head: str
    contradictions: Contradictions = field(default_factory=Contradictions)

    @property
    def result(self) -> Result:
        """Failed, Inconclusive or Passed."""
        return overall(self.checks)

    def document(self) -> dict[str, Any]:
        """The proof as JSON-ready values."""
        return {
            "result": self.result.value,
            "at": self.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "seconds": round(self.seconds, 3),
            "ledger": {
                "accounts": self.accounts,
                "transactions": self.transactions,
                "entries": self.entries,
                "head": self.head,
            },
            "checks": [check.document() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class KeptSeals:
    """A copy of the seals that is kept elsewhere, and the public keys (hex) that may have signed seals."""

    path: Path | None = None
    trusted: frozenset[str] = frozenset()


async def prove(
    database: Database,
    bus: Bus | None,
    *,
    kept: KeptSeals = KeptSeals(),
    view_repair: Repair | None = None,
    stream_repair: StreamRepair | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Proof:
    """Compare ledger, stream and read model. `bus` None: this ledger has no stream. Raises the driver's errors and
    SealFileError.

    Where the ledger, not the copies, changes meanwhile, nothing of it is seen: everything of the database is read at
    one moment. The stream is read after that moment, so it holds all that had left the outbox by then; what it holds
    beyond is looked up in the ledger as it is now.
    """
    acknowledged = await acknowledged_up_to(bus)
    async with audit.snapshot(database) as conn:
        return await prove_on(
            conn, bus, acknowledged, _known(database), kept=kept, view_repair=view_repair, stream_repair=stream_repair,
            now=now,
        )  # fmt: skip


async def prove_on(
    conn: Connection,
    bus: Bus | None,
    acknowledged: tuple[int, str | None],
    known: Known,
    *,
    kept: KeptSeals = KeptSeals(),
    view_repair: Repair | None = None,
    stream_repair: StreamRepair | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Proof:
    """Make the proof on a connection whose transaction sees one moment. `acknowledged` was looked up before it, and
    `known` looks into the ledger as it is now."""
    begun = time.monotonic()
    floor, trouble = acknowledged
    with (
        Witness() as witness,
        Said() as said,
        SealedChain(kept.trusted) as chain,
        SealedChain(kept.trusted) as copied_chain,
    ):
        at = now()
        await _hear_outbox(conn, witness)
        if bus is not None and trouble is None:
            trouble = await _hear_stream(bus, witness)
        heard = bus is not None and trouble is None
        seals = [SealsAudit(chain, "seals", "each version that a seal of the database covers has its head", "seal")]
        await seals[0].read_database(conn)
        if kept.path is not None:
            copy = SealsAudit(copied_chain, "kept_seals", "each version that a kept seal covers has its head", None)
            copy.read_file(kept.path)
            seals[0].compare_copy(copy)
            seals.append(copy)
        transactions = TransactionsAudit(witness if heard else None, said, known, stream_repair)
        indexes = IndexesAudit(said)
        service = ServiceAudit()
        accounts = AccountsAudit(
            lambda txn: heard and _within(witness.sequence_of(txn), floor), transactions.chain, seals, view_repair
        )
        if bus is None:
            transactions.stream.prevent(Result.NOT_APPLICABLE, "no stream: CHRONICLE_NATS_URLS is not set")
        elif trouble is not None:
            transactions.stream.prevent(Result.INCONCLUSIVE, trouble)
        await accounts.run(conn)
        await transactions.run(conn, accounts.balanced)
        await indexes.run(conn)
        await service.run(conn)
        for one in seals:
            one.conclude()
    totals = accounts.totals
    checks = [
        *accounts.checks, *transactions.checks, *indexes.checks, *(one.check for one in seals), service.service,
    ]  # fmt: skip
    seconds = time.monotonic() - begun
    return Proof(
        at, seconds, checks, totals.accounts, totals.entries, transactions.transactions, totals.head,
        transactions.contradictions,
    )  # fmt: skip


def _within(sequence: int | None, floor: int) -> bool:
    return sequence is not None and sequence <= floor


def _known(database: Database) -> Known:
    async def known(ids: list[UUID]) -> set[UUID]:
        async with database.connection() as conn:
            return await audit.known(conn, ids)

    return known


async def acknowledged_up_to(bus: Bus | None) -> tuple[int, str | None]:
    """The last stream sequence up to which the projector has acknowledged everything, looked up before the moment of
    the proof; and why the stream cannot be read, if it cannot."""
    if bus is None:
        return 0, None
    if not await bus.wait_connected(CONNECT_SECONDS):
        return 0, "NATS cannot be reached, so the stream was not compared; try again when it is back"
    try:
        info = await bus.jetstream().consumer_info(STREAM, CONSUMER)
    except NotFoundError:
        return 0, None
    except (NatsError, BusUnavailable, TimeoutError) as error:
        return 0, f"JetStream does not answer ({str(error) or type(error).__name__}); try again"
    return (info.ack_floor.stream_seq if info.ack_floor else 0), None


async def _hear_outbox(conn: Connection, witness: Witness) -> None:
    # The first statement: on PostgreSQL it fixes the moment, and it must come before the stream is read.
    async for page in audit.outbox(conn):
        witness.hear_outbox(page)


async def _hear_stream(bus: Bus, witness: Witness) -> str | None:
    try:
        async with _messages(bus.jetstream()) as messages:
            batch: list[tuple[int, bytes]] = []
            async for sequence, data in messages:
                batch.append((sequence, data))
                if len(batch) >= HEARD_AT_ONCE:
                    witness.hear(batch)
                    batch.clear()
                    await asyncio.sleep(0)
            witness.hear(batch)
    except NotFoundError:
        return None  # no stream: it holds nothing, and the comparison says what it lacks
    except (NatsError, BusUnavailable, ConsumerGone, StreamSilent, TimeoutError) as error:
        return f"the stream could not be read to its end ({str(error) or type(error).__name__}); try again"
    return None


@asynccontextmanager
async def _messages(js: JetStreamContext) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
    source = replay(js, STREAM)

    async def pairs() -> AsyncIterator[tuple[int, bytes]]:
        async for message in source:
            yield message.metadata.sequence.stream, message.data

    try:
        yield pairs()
    finally:
        await source.aclose()  # type: ignore[attr-defined]
