"""Reading whole what the posting engine looks up: holds and reversals, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from chronicle_ledger.store.audit import pages
from chronicle_ledger.store.guarded import Moment
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
    expires_at: Moment | None
    expiry_shard: int


@dataclass(frozen=True, slots=True)
class ReversalRow:
    """That `txn_id` reversed the transaction `reverses`."""

    reverses: UUID
    txn_id: UUID


async def holds(conn: Connection) -> AsyncIterator[HoldRow]:
    """All holds in order of id."""
    columns = "id, account_id, destination_id, amount, captured, state, expires_at, expiry_shard"
    async for page in pages(conn, f"SELECT {columns} FROM hold", "id"):  # noqa: S608
        for row in page:
            yield HoldRow(*row)


async def reversals(conn: Connection) -> AsyncIterator[ReversalRow]:
    """All reversals in order of what they reverse."""
    async for page in pages(conn, "SELECT reverses, txn_id FROM reversal", "reverses"):
        for row in page:
            yield ReversalRow(*row)
