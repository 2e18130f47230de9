"""What somebody who holds the database, and somebody who holds NATS too, can rewrite: history, with every hash new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from chronicle_ledger.domain.hashing import GENESIS, recompute
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.events.rebuild import Rebuild
from chronicle_ledger.events.stream import STREAM, subject
from chronicle_ledger.store.books import read_books
from support.event_bench import EventBench


def forge(transactions: Mapping[UUID, Transaction], victim: UUID, *, less: int) -> dict[UUID, Transaction]:
    """Return a history in which `victim`, a transfer, moved `less` minor units less, with all hashes recomputed."""
    delta = {e.account_id: -less if e.amount > 0 else less for e in transactions[victim].entries}
    since = {e.account_id: e.version for e in transactions[victim].entries}

    def moved(entry: Entry, transaction: Transaction) -> Entry:
        if entry.version < since.get(entry.account_id, entry.version + 1):
            return entry
        change = delta[entry.account_id]
        amount = entry.amount + (change if transaction.id == victim else 0)
        return replace(entry, amount=amount, balance_after=entry.balance_after + change)

    forged = {id_: replace(t, entries=tuple(moved(entry, t) for entry in t.entries)) for id_, t in transactions.items()}
    wrote = {(e.account_id, e.version): t.id for t in forged.values() for e in t.entries}
    done: dict[UUID, Transaction] = {}
    for id_ in forged:
        waiting = [id_]
        while waiting:
            transaction = forged[waiting[-1]]
            before = {e: wrote[e.account_id, e.version - 1] for e in transaction.entries if e.version > 1}
            if missing := [other for other in before.values() if other not in done]:
                waiting += missing
                continue
            entries = tuple(
                replace(e, previous=done[before[e]].hash if e in before else GENESIS) for e in transaction.entries
            )
            chained = replace(transaction, entries=entries)
            done[waiting.pop()] = replace(chained, hash=recompute(chained))
    return done


async def rewrite_database(bench: EventBench, victim: UUID, *, less: int) -> dict[UUID, Transaction]:
    """Rewrite the ledger by UPDATE alone; return the transactions that changed."""
    _, transactions = await read_books(bench.database)
    before = {transaction.id: transaction for transaction in transactions}
    forged = forge(before, victim, less=less)
    changed = {id_: transaction for id_, transaction in forged.items() if transaction.hash != before[id_].hash}
    last: dict[UUID, tuple[Entry, Transaction]] = {}
    for transaction in forged.values():
        for entry in transaction.entries:
            if entry.account_id not in last or last[entry.account_id][0].version < entry.version:
                last[entry.account_id] = (entry, transaction)
    async with bench.database.raw_connection(10.0) as conn, conn.transaction():
        for transaction in changed.values():
            await conn.execute("UPDATE txn SET hash = %s WHERE id = %s", (transaction.hash, transaction.id))
            for entry in transaction.entries:
                await conn.execute(
                    "UPDATE entry SET amount = %s, balance_after = %s WHERE account_id = %s AND version = %s",
                    (entry.amount, entry.balance_after, entry.account_id, entry.version),
                )
        for account, (entry, transaction) in last.items():
            await conn.execute(
                "UPDATE account SET head = %s, balance = %s WHERE id = %s",
                (transaction.hash, entry.balance_after, account),
            )
    return changed


async def rewrite_stream(bench: EventBench, changed: Mapping[UUID, Transaction]) -> None:
    """Replace the messages of `changed`, and the dead letters that could tell, by what the ledger says now."""
    js = bench.bus.jetstream()
    await js.purge_stream(STREAM)
    _, transactions = await read_books(bench.database)
    for transaction in transactions:
        payload = payload_of(changed.get(transaction.id, transaction)).encode()
        await js.publish(subject(shard_of(transaction)), payload)


async def rewrite_view(bench: EventBench) -> None:
    """Make the read model fit."""
    await Rebuild(bench.database).run()
