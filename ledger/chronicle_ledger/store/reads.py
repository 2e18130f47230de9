"""Strong reads of the ledger: what they return was committed when they ran.

Each takes a `Database` and raises DatabaseUnavailable when it does not answer. Lists are pages: a cursor is the last
row's key, and None ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.errors import (
    AccountNotFound,
    HoldNotFound,
    MomentTooRecent,
    RowUnreadable,
    TransactionNotFound,
)
from chronicle_ledger.domain.transaction import Entry, Hold, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.guarded import Unfit, fetch
from chronicle_ledger.store.load import with_entries
from chronicle_ledger.store.moments import ENTRIES, around
from chronicle_ledger.store.pool import Connection, Database
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
    posted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of a page that is none that a ledger writes: the account `id`, or the entry `version` of one."""

    id: UUID | None = None
    version: int | None = None


async def _rows(database: Database, query: str, parameters: Sequence[Any]) -> list[Any]:
    async with database.connection() as connection:
        return await fetch(connection, query.encode(), parameters)


def _decoded(decode: Callable[[Sequence[Any]], T], row: Sequence[Any]) -> T | None:
    """What a row says; None where it is none that a ledger writes."""
    try:
        return None if any(isinstance(value, Unfit) for value in row) else decode(row)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _whole(decode: Callable[[Sequence[Any]], T], row: Sequence[Any], name: str, id_: UUID) -> T:
    """What a row says, or RowUnreadable."""
    value = _decoded(decode, row)
    if value is None:
        raise RowUnreadable(
            f"The row of {name} {id_} is none that a ledger writes; `chronicle proof` locates what was changed.",
            **{f"{name}_id": str(id_)},
        )
    return value


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as it is now. `over` is what it holds for holds that are over and not expired yet (minor units)."""

    account: Account
    over: int

    @property
    def available(self) -> int:
        """What may be spent or held now."""
        return self.account.available + self.over


_COLUMNS = [name.strip() for name in rows.ACCOUNT_COLUMNS.split(",")]
_OF_PAGE = ", ".join(f"page.{name}" for name in _COLUMNS)


def _standings(accounts: str) -> str:
    """The query that adds to a page of `accounts` (a query itself) what each holds for holds that are over.

    In one statement: an expiry between two would be counted twice, or not at all.
    """
    return (
        f"SELECT {_OF_PAGE}, COALESCE(sum(hold.amount), 0) FROM ({accounts}) AS page"  # noqa: S608
        " LEFT JOIN hold ON hold.account_id = page.id AND hold.state = 'pending' AND hold.expires_at <= now()"
        f" AND page.held > 0 GROUP BY {_OF_PAGE} ORDER BY page.id"
    )


def _standing(row: Sequence[Any]) -> Standing:
    return Standing(rows.account(row), int(row[len(_COLUMNS)]))


async def get_standing(database: Database, account_id: UUID) -> Standing:
    """One account as it is now, or AccountNotFound."""
    query = _standings(f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id = %s")  # noqa: S608
    found = await _rows(database, query, [account_id])
    if not found:
        raise AccountNotFound(f"There is no account {account_id}.", account_id=str(account_id))
    return _whole(_standing, found[0], "account", account_id)


async def get_account(database: Database, account_id: UUID) -> Account:
    """One account, or AccountNotFound."""
    found = await _rows(database, f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id = %s", [account_id])  # noqa: S608
    if not found:
        raise AccountNotFound(f"There is no account {account_id}.", account_id=str(account_id))
    return _whole(rows.account, found[0], "account", account_id)


async def list_accounts(
    database: Database,
    *,
    cursor: UUID | None = None,
    limit: int = 100,
    currency: str | None = None,
    status: AccountStatus | None = None,
    kind: AccountKind | None = None,
) -> Page[Standing | Unreadable]:
    """Accounts in order of id, after `cursor`."""
    page, parameters = _account_page(cursor, limit + 1, currency, status, kind)
    found = await _rows(database, _standings(page), parameters)
    accounts = tuple(_decoded(_standing, row) or Unreadable(id=row[0]) for row in found[:limit])
    return Page(accounts, str(found[limit - 1][0]) if len(found) > limit else None)


def _account_page(
    cursor: UUID | None, limit: int, currency: str | None, status: AccountStatus | None, kind: AccountKind | None
) -> tuple[str, list[Any]]:
    """The query of a page and its parameters. Each stretch of an index that it reads is as long as the page at most.

    Both indexes have kind and status before the id, so that where one of the two is not asked for, there is a stretch
    for each of its few values. Bounds as tuples leave no planner another index to choose, whatever it takes a currency
    for that hardly any account has.
    """
    beyond, after = (">=", UUID(int=0)) if cursor is None else (">", cursor)
    if currency is None and status is None and kind is None:
        query = f"SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE id {beyond} %s ORDER BY id LIMIT {int(limit)}"  # noqa: S608
        return query, [after]
    columns = "kind, status" if currency is None else "currency, kind, status"
    arms: list[str] = []
    parameters: list[Any] = []
    for of_kind in AccountKind if kind is None else [kind]:
        for of_status in AccountStatus if status is None else [status]:
            key = [*([] if currency is None else [currency]), of_kind.value, of_status.value]
            marks = ", ".join(["%s"] * len(key))
            arms.append(
                f"(SELECT {rows.ACCOUNT_COLUMNS} FROM account WHERE ({columns}, id) {beyond} ({marks}, %s)"  # noqa: S608
                f" AND ({columns}) <= ({marks}) ORDER BY {columns}, id LIMIT {int(limit)})"
            )
            parameters += [*key, after, *key]
    query = (
        f"SELECT {rows.ACCOUNT_COLUMNS} FROM ({' UNION ALL '.join(arms)}) AS stretches ORDER BY id LIMIT {int(limit)}"  # noqa: S608
    )
    return query, parameters


async def get_transactions(database: Database, ids: Sequence[UUID]) -> dict[UUID, Transaction]:
    """Those of `ids` that were posted, whole. Raises RowUnreadable."""
    query = f"SELECT {rows.TXN_COLUMNS} FROM txn WHERE id = ANY(%s)"  # noqa: S608
    async with database.connection() as connection:
        found = await fetch(connection, query.encode(), [list(ids)])
        for row in found:
            _whole(lambda row: rows.transaction(row, ()), row, "transaction", row[0])
        return await with_entries(connection, found)


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
    return _whole(rows.hold, found[0], "hold", hold_id)


async def list_entries(
    database: Database,
    account_id: UUID,
    *,
    cursor: int = 0,
    limit: int = 100,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[PostedEntry | Unreadable]:
    """An account's entries in order of version, after version `cursor`, posted in [since, until).

    Raises AccountNotFound for an account that does not exist (an existing one has at least its opening entry).
    """
    async with database.connection() as connection:
        found = await _entries(connection, account_id, cursor, limit + 1, since, until)
    if not found:
        await get_account(database, account_id)
    items = tuple(_decoded(_posted, row) or Unreadable(version=row[2]) for row in found[:limit])
    return Page(items, str(found[limit - 1][2]) if len(found) > limit else None)


def _posted(row: Sequence[Any]) -> PostedEntry:
    return PostedEntry(rows.entry(row[:7]), row[7], row[8], row[9])


async def _entries(
    connection: Connection, account: UUID, after: int, limit: int, since: datetime | None, until: datetime | None
) -> list[Any]:
    conditions = ["account_id = %s", "version > %s"]
    parameters: list[Any] = [account, after]
    if since is not None:
        conditions += ["version > %s", "posted_at >= %s"]
        parameters += [(await around(connection, ENTRIES, [account], since))[0], since]
    if until is not None:
        conditions += ["version < %s", "posted_at < %s"]
        parameters += [(await around(connection, ENTRIES, [account], until))[1], until]
    # The page first, then its transactions. LEFT: an entry shows even where its transaction is gone.
    query = (
        f"SELECT {rows.ENTRY_COLUMNS}, page.txn_id, page.posted_at, txn.posted_by "  # noqa: S608
        f"FROM (SELECT {rows.ENTRY_COLUMNS}, txn_id, posted_at FROM entry WHERE {' AND '.join(conditions)} "
        f"ORDER BY version LIMIT {int(limit)}) AS page LEFT JOIN txn ON txn.id = page.txn_id ORDER BY page.version"
    )
    return await fetch(connection, query.encode(), parameters)


FINAL_AFTER = timedelta(seconds=5)
"""How old a moment has to be before a balance of it is final.

It is more than `LONGEST_EVALUATION`, after which no posting is written any more, and twice the half second by which the
clocks of CockroachDB's nodes may differ.
"""


async def balance_at(
    database: Database, account_id: UUID, at: datetime, final_after: timedelta = FINAL_AFTER
) -> PostedEntry | None:
    """The last entry posted at or before `at`, whose `balance_after` and `held_after` are the balance then, for good.

    None when the account did not exist yet. Raises AccountNotFound when it does not exist now, and MomentTooRecent
    where a posting of that moment may still be on its way.

    Times on an account never run backwards, so the last version is also the latest. A later change that is there
    already shows that all up to `at` is there. Otherwise the account is locked: its postings in flight end first, and
    those that lock it afterwards take a time of at least this moment less `final_after`.
    """
    if (await get_account(database, account_id)).updated_at <= at:
        async with database.connection() as connection, connection.transaction():
            cursor = await connection.execute(_LOCKED_MOMENT, (account_id,), binary=True)
            row = await cursor.fetchone()
            if row is None:
                raise AccountNotFound(f"There is no account {account_id}.", account_id=str(account_id))
            latest = row[0].astimezone(UTC) - final_after
            if at > latest:
                raise MomentTooRecent(
                    f"A posting of that moment may still be on its way. Balances are final up to {timestamp(latest)};"
                    f" ask for that moment, or for yours in {math.ceil((at - latest).total_seconds())} s.",
                    latest=timestamp(latest),
                )
            return await _last_entry(connection, account_id, at)
    async with database.connection() as connection:
        return await _last_entry(connection, account_id, at)


# The time is read before the lock is there; an earlier one is the stricter one.
_LOCKED_MOMENT = "SELECT clock_timestamp() FROM account WHERE id = %s FOR UPDATE"


async def _last_entry(connection: Connection, account_id: UUID, at: datetime) -> PostedEntry | None:
    query = (
        f"SELECT {rows.ENTRY_COLUMNS}, txn_id, posted_at FROM entry "  # noqa: S608
        "WHERE account_id = %s AND version < %s AND posted_at <= %s ORDER BY version DESC LIMIT 1"
    )
    _, end = await around(connection, ENTRIES, [account_id], at + timedelta(microseconds=1))
    cursor = await connection.execute(query.encode(), (account_id, end, at), binary=True)
    row = await cursor.fetchone()
    return None if row is None else PostedEntry(rows.entry(row[:7]), row[7], row[8])


async def ended_holds(database: Database, limit: int) -> list[UUID]:
    """Pending holds whose time has come by the database's clock, from every expiry shard."""
    query = "SELECT id FROM hold WHERE expiry_shard = ANY(%s) AND state = 'pending' AND expires_at <= now() LIMIT %s"
    return [row[0] for row in await _rows(database, query, [list(range(EXPIRY_SHARDS)), limit])]


async def moment(database: Database) -> datetime:
    """The database's time, in UTC. Raises DatabaseUnavailable."""
    async with database.connection(1.0) as connection:
        cursor = await connection.execute("SELECT clock_timestamp()", binary=True)
        [[now]] = await cursor.fetchall()
    value: datetime = now.astimezone(UTC)
    return value
