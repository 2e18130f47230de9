"""`chronicle reconcile --trust-stream`: what was posted is what the stream says, as far as a proof agrees.

Everything happens in one database transaction. It is committed only if a proof made inside it finds the ledger whole.
"""

from __future__ import annotations

import json
from uuid import UUID

import psycopg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.events import stream
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.event import Unreadable, decode
from chronicle_ledger.proof.contradictions import KEPT, Contradictions
from chronicle_ledger.proof.prove import Proof, acknowledged_up_to, prove_on
from chronicle_ledger.store import audit, restore
from chronicle_ledger.store.audit import Undecodable
from chronicle_ledger.store.failures import Failure, classify
from chronicle_ledger.store.pool import Connection, Database

AT_ONCE = 500

COPIES = frozenset({"stream", "view", "service"})
"""The checks that do not look at the ledger alone."""


class NotRestored(Exception):
    """The stream does not give a whole ledger; nothing was changed. The message says what is in the way."""


def damaged(proof: Proof) -> list[str]:
    """What speaks against the ledger itself."""
    return [check.document()["message"] for check in proof.checks if check.name not in COPIES and not check.ok]


def _transaction(data: bytes) -> Transaction:
    """The transaction that a message speaks of. Raises Unreadable where the message is not its event, byte for byte."""
    event, document = decode(data), json.loads(data)
    try:
        transaction = Transaction(
            id=event.id,
            fingerprint=bytes.fromhex(document["fingerprint"]),
            kind=event.kind,
            entries=tuple(
                Entry(e.account_id, e.currency, e.version, e.amount, e.held, e.balance_after, e.held_after)
                for e in event.entries
            ),
            effective_at=event.effective_at,
            posted_at=event.posted_at,
            hash=bytes.fromhex(event.hash),
            metadata=event.metadata,
            details=event.details,
            reverses=_optional(document["reverses"]),
            hold_id=_optional(document["hold_id"]),
            posted_by=event.posted_by,
        )
        same = payload_of(transaction).encode() == data
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"not a whole event ({type(error).__name__})") from error
    if not same:
        raise Unreadable("not spelled as a ledger spells events")
    return transaction


def _optional(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)


async def restore_from_stream(database: Database, bus: Bus, contradictions: Contradictions) -> int:
    """Put the transactions that the stream has otherwise back into the ledger; return how many. Raises NotRestored.

    Accounts that they touch get the state that their entries say. Stop the service first: a posting on one of these
    accounts meanwhile ends this with NotRestored.
    """
    if contradictions.count > KEPT:
        raise NotRestored(f"{contradictions.count} transactions are too many to restore; restore from a backup")
    found = await _from_stream(bus.jetstream(), contradictions)
    if not found:
        return 0
    acknowledged = await acknowledged_up_to(bus)
    try:
        async with database.raw_connection(10.0) as conn, conn.transaction():
            if conn.info.parameter_status("crdb_version") is None:
                await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await conn.execute(f"SET LOCAL statement_timeout = {audit.STATEMENT_SECONDS * 1000}".encode())
                await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await _write(conn, found)

            async def known(ids: list[UUID]) -> set[UUID]:
                return await audit.known(conn, ids)

            proof = await prove_on(conn, bus, acknowledged, known)
            if faults := damaged(proof):
                raise NotRestored(
                    f"with what the stream says, the ledger would not be whole either, so nothing was changed:"
                    f" {'; '.join(faults)}. Restore it from a backup"
                )
    except Undecodable as error:
        raise NotRestored(f"nothing was changed: {error}. Restore the ledger from a backup") from error
    except psycopg.Error as error:
        meaning = classify(error)
        if meaning is Failure.DUPLICATE:
            raise NotRestored(
                "nothing was changed: the ledger has other transactions in the place of those in the stream. Restore it"
                " from a backup"
            ) from error
        if meaning is Failure.CONFLICT:
            raise NotRestored("nothing was changed: somebody is posting. Stop the service and run it again") from error
        raise
    return len(found)


async def _from_stream(js: JetStreamContext, contradictions: Contradictions) -> dict[UUID, Transaction]:
    found: dict[UUID, Transaction] = {}
    for contradiction in contradictions.kept:
        if contradiction.sequence is None:
            continue
        try:
            message = await js.get_msg(stream.STREAM, seq=contradiction.sequence)
            transaction = _transaction(message.data or b"")
        except Unreadable as error:
            raise NotRestored(f"message {contradiction.sequence} is {error}; nothing was changed") from error
        except (NatsError, TimeoutError) as error:
            raise NotRestored(
                f"message {contradiction.sequence} cannot be read ({error}), so nothing was changed; run it again"
            ) from error
        if found.setdefault(transaction.id, transaction) != transaction:
            raise NotRestored(
                f"the stream says two things of transaction {transaction.id}, so nothing was changed; look at its"
                " messages (`chronicle proof` names them) and restore from a backup, or trust the ledger"
            )
    return found


async def _write(conn: Connection, found: dict[UUID, Transaction]) -> None:
    transactions = list(found.values())
    touched = {entry.account_id for transaction in transactions for entry in transaction.entries}
    pages = [transactions[at : at + AT_ONCE] for at in range(0, len(transactions), AT_ONCE)]
    for page in pages:
        touched |= await restore.remove(conn, [transaction.id for transaction in page])
    for page in pages:
        await restore.insert(conn, page)
    for account in sorted(touched):
        await restore.account(conn, account)
