"""Strong reads of the ledger: what they return was committed when they ran.

Each takes a `Database` and raises DatabaseUnavailable when it does not answer. Lists are pages: a cursor is the last
row's key, and None ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.errors import AccountNotFound, HoldNotFound, TransactionNotFound
from chronicle_ledger.domain.transaction import Entry, Hold, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.load import with_entries
from chronicle_ledger.store.pool import Database
from chronicle_ledger.store.write import EXPIRY_SHARDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and where to go on (None: nowhere)."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PostedEntry:
    """An entry with the transaction and the moment it belongs to."""

    entry: Entry
    transaction_id: UUID
    posted_at: datetime


async def _rows(database: Database, query: str, parameters: Sequence[Any]) -> list[Any]:
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), parameters, binary=True)
        return await cursor.fetchall()


async def get_account(database: Database, account_id: UUID) -> Account:
    """One account, or AccountNotFound."""
    found = await _rows(database, f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id = %s", [account_id])  # noqa: S608
    if not found:
        raise AccountNotFound(f"There is no account {account_id}.", account_id=str(account_id))
    return rows.account(found[0])


async def list_accounts(
    database: Database,
    *,
    cursor: UUID | None = None,
    limit: int = 100,
    currency: str | None = None,
    status: AccountStatus | None = None,
    kind: AccountKind | None = None,
) -> Page[Account]:
    """Accounts in order of id, after `cursor`."""
    conditions = ["id > %s"]
    parameters: list[Any] = [cursor or UUID(int=0)]
    for column, value in (("currency", currency), ("status", status), ("kind", kind)):
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(str(value))
    query = (
        f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"ORDER BY id LIMIT {int(limit) + 1}"
    )
    found = await _rows(database, query, parameters)
    accounts = tuple(rows.account(row) for row in found[:limit])
    return Page(accounts, str(accounts[-1].id) if len(found) > limit else None)


async def get_transactions(database: Database, ids: Sequence[UUID]) -> dict[UUID, Transaction]:
    """Those of `ids` that were posted, whole."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id = ANY(%s)",  # noqa: S608
            [list(ids)],
            binary=True,
        )
        return await with_entries(connection, await cursor.fetchall())


async def get_transaction(database: Database, transaction_id: UUID) -> Transaction:
    """One transaction with its entries, or TransactionNotFound."""
    found = await get_transactions(database, [transaction_id])
    if transaction_id not in found:
        raise TransactionNotFound(f"There is no transaction {transaction_id}.", transaction_id=str(transaction_id))
    return found[transaction_id]


async def get_hold(database: Database, hold_id: UUID) -> Hold:
    """One hold as it is now, or HoldNotFound."""
    found = await _rows(database, f"SELECT {rows.HOLD_COLUMNS} FROM hold WHERE id = %s", [hold_id])  # noqa: S608
    if not found:
        raise HoldNotFound(f"There is no hold {hold_id}.", hold_id=str(hold_id))
    return rows.hold(found[0])


async def list_entries(
    database: Database,
    account_id: UUID,
    *,
    cursor: int = 0,
    limit: int = 100,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[PostedEntry]:
    """An account's entries in order of version, after version `cursor`, posted in [since, until).

    Raises AccountNotFound for an account that does not exist (an existing one has at least its opening entry).
    """
    conditions = ["account_id = %s", "version > %s"]
    parameters: list[Any] = [account_id, cursor]
    if since is not None:
        conditions.append("posted_at >= %s")
        parameters.append(since)
    if until is not None:
        conditions.append("posted_at < %s")
        parameters.append(until)
    query = (
        f"SELECT {rows.ENTRY_COLUMNS}, txn_id, posted_at FROM entry WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"ORDER BY version LIMIT {int(limit) + 1}"
    )
    found = await _rows(database, query, parameters)
    if not found:
        await get_account(database, account_id)
    items = tuple(PostedEntry(rows.entry(row[:7]), row[7], row[8]) for row in found[:limit])
    return Page(items, str(items[-1].entry.version) if len(found) > limit else None)


async def balance_at(database: Database, account_id: UUID, at: datetime) -> PostedEntry | None:
    """The last entry posted at or before `at`, whose `balance_after` and `held_after` are the balance then.

    None when the account did not exist yet; AccountNotFound when it does not exist now. Times on an account never run
    backwards, so the last version is also the latest.
    """
    query = (
        f"SELECT {rows.ENTRY_COLUMNS}, txn_id, posted_at FROM entry "  # noqa: S608
        "WHERE account_id = %s AND posted_at <= %s ORDER BY version DESC LIMIT 1"
    )
    found = await _rows(database, query, [account_id, at])
    if not found:
        await get_account(database, account_id)
        return None
    row = found[0]
    return PostedEntry(rows.entry(row[:7]), row[7], row[8])


async def expired_holds(database: Database, now: datetime, limit: int = 100) -> list[UUID]:
    """Pending holds whose time has come, from every expiry shard."""
    query = "SELECT id FROM hold WHERE expiry_shard = ANY(%s) AND state = 'pending' AND expires_at <= %s LIMIT %s"
    return [row[0] for row in await _rows(database, query, [list(range(EXPIRY_SHARDS)), now, limit])]
