"""What a database error means for the work that met it."""

from __future__ import annotations

from enum import Enum

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests


class Failure(Enum):
    """What to do after an error."""

    CONFLICT = "conflict"
    """Nothing was done (serialization failure, deadlock): run it again after a short, random pause."""
    DUPLICATE = "duplicate"
    """A row exists already, so nothing was done: run it again at once, which then sees the row."""
    UNKNOWN = "unknown"
    """It may have been done (connection lost, ambiguous commit, statement timed out): run the same again with the
    same keys, and never look first."""
    REFUSED = "refused"
    """The database rejects the content: the same again would fail again."""


_CONFLICTS = frozenset({"40001", "40P01", "55P03"})


def sqlstate(error: BaseException) -> str:
    """The five characters that say what happened; `08006` for a connection that broke without saying anything."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state or "08006"


def classify(error: BaseException) -> Failure:
    """What `error` means. Everything that is not known to be harmless or hopeless has an unknown outcome.

    CockroachDB reports what it did not foresee as XX000 or XXUUU, lost quorum among it, so those count as unknown.
    """
    if isinstance(error, (psycopg.DataError, psycopg.ProgrammingError)) and error.sqlstate is None:
        return Failure.REFUSED  # by the driver, before anything was sent
    state = sqlstate(error)
    if state in _CONFLICTS:
        return Failure.CONFLICT
    if state == "23505":
        return Failure.DUPLICATE
    if state[:2] in ("22", "23", "42", "0A"):
        return Failure.REFUSED
    return Failure.UNKNOWN


def refuses_content(error: BaseException) -> bool:
    """Whether the database refuses what was to be written, and not the statement: a value out of range, a violated
    constraint. A missing table, column or right would refuse whatever is written."""
    if classify(error) is not Failure.REFUSED:
        return False
    return isinstance(error, psycopg.DataError) or sqlstate(error)[:2] in ("22", "23")


def connection_lost(error: BaseException) -> bool:
    """Whether `error` is about the connection it met, so that others of the same age are suspect too."""
    if isinstance(error, (PoolTimeout, PoolClosed, TooManyRequests)):
        return False
    return isinstance(error, OSError) or sqlstate(error)[:2] == "08" or sqlstate(error)[:4] == "57P0"


DATABASE_ERRORS = (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests, OSError)
"""What a broken, slow or absent database makes the driver and its pool raise."""
