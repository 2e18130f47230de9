"""Posting services on a real database, commands for them, and an audit of what they left."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

from chronicle_ledger.domain.account import AccountKind
from chronicle_ledger.domain.audit import audit
from chronicle_ledger.domain.commands import Command, Leg, OpenAccount, PostEntries, fingerprint, transaction_id
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.transaction import Transaction, TransactionKind
from chronicle_ledger.posting.clocks import Clocks
from chronicle_ledger.posting.service import Posted, PostingLimits, PostingService
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.books import read_books
from chronicle_ledger.store.pool import Database, open_pool

C = TypeVar("C", bound=Command)

NAMES = UUID("7f7e2b0a-9a64-5f7c-8f0c-1d1f6a4b2c11")


def account_named(name: str) -> UUID:
    """A stable id for an account of a test."""
    return uuid5(NAMES, name)


def command(cls: type[C], key: str, **fields: Any) -> C:
    """A command under an idempotency key; its fingerprint covers its fields, as a request's body would."""
    body = repr(sorted(fields.items(), key=lambda item: item[0])).encode()
    return cls(
        id=transaction_id("test", "tests", "POST", "/", key), fingerprint=fingerprint(body), posted_by="tests", **fields
    )


def transfer(key: str, source: UUID, destination: UUID, amount: int, **fields: Any) -> PostEntries:
    """`amount` minor units from one account to another."""
    legs = (Leg(source, -amount), Leg(destination, amount))
    return command(PostEntries, key, kind=TransactionKind.TRANSFER, legs=legs, **fields)


def deposit(key: str, account: UUID, amount: int, **fields: Any) -> PostEntries:
    """`amount` minor units from the outside world."""
    return command(PostEntries, key, kind=TransactionKind.DEPOSIT, legs=(Leg(account, amount),), **fields)


def withdrawal(key: str, account: UUID, amount: int, **fields: Any) -> PostEntries:
    """`amount` minor units to the outside world."""
    return command(PostEntries, key, kind=TransactionKind.WITHDRAWAL, legs=(Leg(account, -amount),), **fields)


def codes(results: Sequence[Posted | LedgerError]) -> Mapping[str, int]:
    """How many of each answer: `posted`, `replayed`, or an error's code."""
    return Counter(
        result.code if isinstance(result, LedgerError) else "replayed" if result.replayed else "posted"
        for result in results
    )


class Bench:
    """As many services as asked for, each with its own pool, as replicas have; `urls` are used in turn."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls
        self._next = itertools.cycle(urls)
        self._opened: list[tuple[PostingService, Database]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for service, database in self._opened:
            await service.drain(5)
            await database.close()

    async def service(
        self,
        url: str | None = None,
        *,
        limits: PostingLimits | None = None,
        clocks: Clocks | None = None,
        sabotage: Sabotage | None = None,
        size: int = 4,
        statement_timeout: float = 3.0,
    ) -> PostingService:
        """One more replica."""
        database = await open_pool(url or next(self._next), size=size, statement_timeout=statement_timeout)
        service = PostingService(database, limits=limits, clocks=clocks, sabotage=sabotage)
        self._opened.append((service, database))
        await service.start()
        return service

    async def open(self, service: PostingService, *names: str, floor: int | None = 0, currency: str = "EUR") -> None:
        """Open accounts by name."""
        results = await service.submit_many(
            [
                command(OpenAccount, f"open {name}", account_id=account_named(name), currency=currency, floor=floor)
                for name in names
            ],
            atomic=False,
            deadline=30,
        )
        assert set(codes(results)) <= {"posted", "replayed"}, codes(results)

    @property
    def database(self) -> Database:
        """The first replica's connections."""
        return self._opened[0][1]

    async def books(self) -> tuple[dict[UUID, Any], list[Transaction]]:
        """Everything that is stored."""
        return await read_books(self.database)

    async def assert_sound(self) -> list[Transaction]:
        """No fault in the books, one outbox row a transaction, and money neither made nor lost; the transactions."""
        accounts, transactions = await self.books()
        assert audit(accounts, transactions) == []
        totals: Counter[str] = Counter()
        for account in accounts.values():
            totals[account.currency] += account.balance
            assert account.kind is AccountKind.SYSTEM or account.floor is None or account.available >= account.floor
        assert not any(totals.values()), totals
        async with self.database.connection() as connection:
            cursor = await connection.execute("SELECT id FROM outbox")
            events = [row[0] for row in await cursor.fetchall()]
        assert sorted(events) == sorted(t.id for t in transactions)
        return transactions
