"""Many transactions at once: evaluated by the domain, sealed into the hash chain, and copied in by COPY."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.store.books import read_books
from chronicle_ledger.store.pool import Connection, Database
from support.ledger_bench import transfer

CHUNK = 10_000


async def load_transfers(database: Database, count: int) -> None:
    """Post `count` transfers between the accounts that exist, with their outbox rows."""
    accounts, _ = await read_books(database)
    book = Book(accounts=dict(accounts), loaded=set(accounts), currencies={a.currency for a in accounts.values()})
    ids = sorted(account.id for account in accounts.values() if account.kind == "customer")
    now = datetime.now(UTC)
    made = 0
    while made < count:
        transactions = []
        for number in range(made, min(made + CHUNK, count)):
            command = transfer(
                f"bulk {number}", ids[number % len(ids)], ids[(number * 7 + 1) % len(ids)], 1 + number % 9
            ) if number % len(ids) != (number * 7 + 1) % len(ids) else transfer(
                f"bulk {number}", ids[number % len(ids)], ids[(number + 1) % len(ids)], 1
            )  # fmt: skip
            outcome = evaluate(book, command, now + timedelta(microseconds=number))
            book.apply(outcome)
            transactions.append(outcome.transaction)
        made += len(transactions)
        book.transactions.clear()  # they are remembered for replays, of which there are none here
        async with database.raw_connection(10) as conn, conn.transaction():
            await _copy(conn, transactions, book, final=made >= count)


async def _copy(conn: Connection, transactions: list[Transaction], book: Book, *, final: bool) -> None:
    cursor = conn.cursor()

    async def rows(statement: str, values: Iterable[tuple[object, ...]]) -> None:
        async with cursor.copy(statement.encode()) as copy:
            for value in values:
                await copy.write_row(value)

    await rows(
        "COPY txn (id, fingerprint, kind, effective_at, posted_at, metadata, details, hash, posted_by) FROM STDIN",
        (
            (t.id, t.fingerprint, t.kind.value, t.effective_at, t.posted_at, canonical_json(t.metadata),
             canonical_json(t.details), t.hash, t.posted_by)
            for t in transactions
        ),
    )  # fmt: skip
    await rows(
        "COPY entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)"
        " FROM STDIN",
        (
            (e.account_id, e.version, t.id, e.currency, e.amount, e.held, e.balance_after, e.held_after, t.posted_at)
            for t in transactions
            for e in t.entries
        ),
    )
    await rows(
        "COPY outbox (shard, id, payload, created_at) FROM STDIN",
        ((shard_of(t), t.id, payload_of(t), t.posted_at) for t in transactions),
    )
    if final:
        for account in book.accounts.values():
            await conn.execute(
                "UPDATE account SET balance = %s, held = %s, version = %s, head = %s, updated_at = %s WHERE id = %s",
                (account.balance, account.held, account.version, account.head, account.updated_at, account.id),
            )
