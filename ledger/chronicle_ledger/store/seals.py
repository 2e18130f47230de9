"""Seals in the database, and what a sealer reads of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from chronicle_ledger.store.arrays import binary, plain
from chronicle_ledger.store.pool import Connection

PAGE = 1000
COUNTED_AT_ONCE = 100_000
FIRST = -(2**63)
"""What a table may hold is looked at from the lowest number on; a sealer begins with 1."""

Head = tuple[UUID, int, bytes]
"""An account's id, version and head."""

_ROWS = """
INSERT INTO sealed_account (number, account_id, version, head)
SELECT %s::int8, unnest(%s::uuid[]), unnest(%s::int8[]), unnest(%s::bytea[])
"""
_HASHES = (
    "SELECT e.account_id, e.version, t.hash FROM unnest(%s::uuid[], %s::int8[]) AS w(account_id, version)"
    " JOIN entry e ON e.account_id = w.account_id AND e.version = w.version JOIN txn t ON t.id = e.txn_id"
)


async def seals(conn: Connection, first: int = FIRST) -> AsyncIterator[tuple[int, str]]:
    """Number and document of each seal from number `first` on, in order of number."""
    beyond, after = b">=", first
    while True:
        cursor = await conn.execute(
            b"SELECT number, document FROM seal WHERE number " + beyond + b" %s ORDER BY number LIMIT %s",
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield row[0], row[1]
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]


async def sealed_accounts(conn: Connection, first: int = FIRST) -> AsyncIterator[tuple[int, UUID, int, bytes]]:
    """Number, account, version and head of each account sealed from number `first` on, in order of number and id."""
    beyond, after = b">=", (first, UUID(int=0))
    while True:
        cursor = await conn.execute(
            b"SELECT number, account_id, version, head FROM sealed_account WHERE (number, account_id) "
            + beyond
            + b" (%s, %s) ORDER BY number, account_id LIMIT %s",
            (*after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        for row in page:
            yield row[0], row[1], row[2], bytes(row[3])
        if len(page) < PAGE:
            return
        beyond, after = b">", (page[-1][0], page[-1][1])


async def heads(conn: Connection) -> AsyncIterator[list[Head]]:
    """Pages of all accounts in order of id."""
    beyond, after = b">=", UUID(int=0)
    while True:
        cursor = await conn.execute(
            b"SELECT id, version, head FROM account WHERE id " + beyond + b" %s ORDER BY id LIMIT %s",
            (after, PAGE),
            binary=True,
        )
        page = await cursor.fetchall()
        if page:
            yield [(row[0], row[1], bytes(row[2])) for row in page]
        if len(page) < PAGE:
            return
        beyond, after = b">", page[-1][0]


async def hashes(conn: Connection, wanted: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], bytes]:
    """The hashes of the transactions that wrote these versions; those that do not exist are left out."""
    cursor = await conn.execute(
        _HASHES.encode(),
        (plain(account for account, _ in wanted), plain(version for _, version in wanted)),
        binary=True,
    )
    return {(row[0], row[1]): bytes(row[2]) for row in await cursor.fetchall()}


async def transaction_count(conn: Connection) -> int:
    """How many transactions there are, counted in pieces that each end within the time limit of a statement."""
    count, after = 0, UUID(int=0)
    comparison = b">="
    while True:
        cursor = await conn.execute(
            b"SELECT id FROM txn WHERE id " + comparison + b" %s ORDER BY id LIMIT 1 OFFSET %s",
            (after, COUNTED_AT_ONCE - 1),
        )
        row = await cursor.fetchone()
        if row is None:
            cursor = await conn.execute(b"SELECT count(*) FROM txn WHERE id " + comparison + b" %s", (after,))
            rest = await cursor.fetchone()
            return count + (int(rest[0]) if rest else 0)
        count, after, comparison = count + COUNTED_AT_ONCE, row[0], b">"


async def insert_seal(conn: Connection, number: int, document: str) -> None:
    """Write the seal itself, in the transaction of its rows; a number that exists violates the primary key."""
    await conn.execute("INSERT INTO seal (number, document) VALUES (%s, %s)", (number, document))


async def insert_rows(conn: Connection, number: int, rows: Sequence[Head]) -> None:
    """Write some of the accounts that a seal covers."""
    await conn.execute(
        _ROWS,
        (
            number,
            plain(account for account, _, _ in rows),
            plain(version for _, version, _ in rows),
            binary(head for _, _, head in rows),
        ),
    )
