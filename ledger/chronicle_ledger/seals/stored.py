"""Seals in the database: read into a chain, and written so that two sealers never fork it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from chronicle_ledger.seals.chain import SealBroken, SealedChain
from chronicle_ledger.seals.document import Seal, SealedAccount, decode
from chronicle_ledger.store import seals
from chronicle_ledger.store.failures import DATABASE_ERRORS, Failure, classify
from chronicle_ledger.store.pool import Connection, Database

WRITTEN_AT_ONCE = 1000
ATTEMPTS = 5


class SealOvertaken(Exception):
    """Another sealer wrote the next seal meanwhile; nothing was written."""


async def read(conn: Connection, chain: SealedChain) -> None:
    """Read all seals of the database into `chain`. Raises SealBroken."""
    rows = seals.sealed_accounts(conn)
    row = await anext(rows, None)
    async for number, document in seals.seals(conn):
        if row is not None and row[0] < number:
            raise SealBroken(f"account {row[1]} is sealed under number {row[0]}, which is no seal")
        try:
            seal = decode(document)
        except (ValueError, RecursionError):
            raise SealBroken(f"what is stored as seal {number} is no seal") from None
        if seal.number != number:
            raise SealBroken(f"seal {seal.number} is stored as seal {number}")
        while row is not None and row[0] == number:
            chain.row(SealedAccount(*row[1:]))
            row = await anext(rows, None)
        chain.close(seal)
    if row is not None:
        raise SealBroken(f"account {row[1]} is sealed under number {row[0]}, which is no seal")


async def write(database: Database, rows: Iterable[SealedAccount], seal: Seal) -> None:
    """Write a seal and its rows in one transaction. Raises SealOvertaken and the driver's errors.

    `rows` is walked through again where the database asks for the transaction once more, so it is no iterator.
    """
    for attempt in range(ATTEMPTS):
        try:
            async with database.raw_connection(10.0) as conn, conn.transaction():
                await seals.insert_seal(conn, seal.number, seal.line())
                walk = iter(rows)
                while page := [(row.account_id, row.version, row.head) for row in islice(walk, WRITTEN_AT_ONCE)]:
                    await seals.insert_rows(conn, seal.number, page)
        except DATABASE_ERRORS as error:
            meaning = classify(error)
            if meaning is Failure.DUPLICATE:
                raise SealOvertaken(
                    f"another sealer has written seal {seal.number} meanwhile, so nothing was written; run this again"
                ) from error
            if meaning is not Failure.CONFLICT or attempt == ATTEMPTS - 1:
                raise
        else:
            return
