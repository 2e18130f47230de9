"""Reading rows whatever they hold: a value that the driver cannot represent comes as `Unfit` instead of an error.

PostgreSQL and CockroachDB store times that Python has no value for: infinity, years before Christ or past 9999. One
such value would make the driver refuse the whole page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.adapt import Buffer
from psycopg.types.datetime import DateLoader, TimestamptzLoader

from chronicle_ledger.store.pool import Connection


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value without a counterpart in Python, as the database spells it. Equal to no other value."""

    text: str

    def __str__(self) -> str:
        return self.text


Moment = datetime | Unfit
Day = date | Unfit


class _AnyTime(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return Unfit(bytes(data).decode())


class _AnyDay(DateLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return Unfit(bytes(data).decode())


async def fetch(conn: Connection, query: bytes, parameters: Sequence[Any]) -> list[Any]:
    """All rows of a query. A page with an unfit value is read once more, as text: the usual page costs nothing."""
    given = [value.text if isinstance(value, Unfit) else value for value in parameters]
    try:
        cursor = await conn.execute(query, given, binary=True)
        return await cursor.fetchall()
    except psycopg.DataError as error:
        if error.sqlstate is not None:  # the server's
            raise
    guarded = conn.cursor(binary=False)
    guarded.adapters.register_loader("timestamptz", _AnyTime)
    guarded.adapters.register_loader("date", _AnyDay)
    await guarded.execute(query, given)
    return await guarded.fetchall()
