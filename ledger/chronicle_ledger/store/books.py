"""The whole ledger as of one moment, for an audit of small ledgers (tests, demos); it is all held in memory."""

from __future__ import annotations

from uuid import UUID

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.store import rows
from chronicle_ledger.store.pool import Database


async def read_books(database: Database) -> tuple[dict[UUID, Account], list[Transaction]]:
    """All accounts and all transactions with their entries, in one snapshot. Raises DatabaseUnavailable."""
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        accounts = await connection.execute(f"SELECT {rows.ACCOUNT_COLUMNS} FROM account", binary=True)  # noqa: S608
        found = {row[0]: rows.account(row) for row in await accounts.fetchall()}
        entries: dict[UUID, list[Entry]] = {}
        cursor = await connection.execute(f"SELECT txn_id, {rows.ENTRY_COLUMNS} FROM entry", binary=True)  # noqa: S608
        for row in await cursor.fetchall():
            entries.setdefault(row[0], []).append(rows.entry(row[1:]))
        cursor = await connection.execute(f"SELECT {rows.TXN_COLUMNS} FROM txn", binary=True)  # noqa: S608
        return found, [rows.transaction(row, entries.get(row[0], [])) for row in await cursor.fetchall()]
