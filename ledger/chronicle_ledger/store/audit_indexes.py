"""Reading whole what the posting engine looks up: holds and reversals, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chronicle_ledger.store.audit import FIRST, PAGE
from chronicle_ledger.store.pool import Connection


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold's row (minor units)."""

    id: UUID
    account_id: UUID
    destination_id: UUID | None
    amount: int
    captured: int
    state: str
    expires_at: datetime | None
    expiry_shard: int


@dataclass(frozen=True, slots=True)
class ReversalRow:
    """That `txn_id` reversed the transaction `reverses`."""

    reverses: UUID
    txn_id: UUID


async def holds(conn: Connection) -> AsyncIterator[HoldRow]:
    """All holds in order of id."""
    beyond, after = b">=", FIRST
    while True:
        cursor = await conn.execute(
            b"SELECT id, account_id, destination_id, amount, captured, state, expires_at, expiry_shard FROM hold"
            b" WHERE id " + beyond + b" %s ORDER BY id LIMIT %s",
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield HoldRow(*row)
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]


async def reversals(conn: Connection) -> AsyncIterator[ReversalRow]:
    """All reversals in order of what they reverse."""
    beyond, after = b">=", FIRST
    while True:
        cursor = await conn.execute(
            b"SELECT reverses, txn_id FROM reversal WHERE reverses " + beyond + b" %s ORDER BY reverses LIMIT %s",
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield ReversalRow(*row)
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]
