"""The seals of the database as JSON lines, in the form of a file of seals."""

from __future__ import annotations

from collections.abc import Callable

from chronicle_ledger.seals.document import SealedAccount
from chronicle_ledger.seals.file import row_line
from chronicle_ledger.store import audit, seals
from chronicle_ledger.store.pool import Database


async def lines(database: Database, write: Callable[[str], object]) -> int:
    """Give each line to `write`; return how many seals there were. What is there is not judged: a proof does that."""
    count = 0
    async with audit.snapshot(database) as conn:
        rows = seals.sealed_accounts(conn)
        row = await anext(rows, None)
        async for number, document in seals.seals(conn):
            while row is not None and row[0] <= number:
                write(row_line(SealedAccount(*row[1:])))
                row = await anext(rows, None)
            write(document)
            count += 1
    return count
