"""What a database error means for the work that met it."""

from __future__ import annotations

from enum import Enum

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from chronicle_ledger.domain.errors import DatabaseReadOnly, DatabaseUnavailable, SchemaMissing


class Failure(Enum):
    """What to do after an error."""

    CONFLICT = "conflict"
    """Nothing was done (serialization failure, deadlock): run it again after a short, random pause."""
    DUPLICATE = "duplicate"
    """A row exists already, so nothing was done: run it again at once, which then sees the row."""
    UNKNOWN = "unknown"
    """It may have been done (connection lost, ambiguous commit, statement timed out): run the same again with the
    same keys, and never look first."""
    READ_ONLY = "read only"
    """Nothing was done, and nothing can be on this session: once again on a new one, which may lead elsewhere."""
    NO_SCHEMA = "no schema"
    """Nothing was done, and nothing will be until the schema is this version's: say so to whoever waits."""
    REFUSED = "refused"
    """The database rejects the content: the same again would fail again."""


TOO_SLOW = frozenset({"57014", "22012"})
"""The statement's time is over; evaluated too long ago: a smaller batch may be in time."""

_CONFLICTS = frozenset({"40001", "40P01", "55P03", "22012"})
"""Serialization failure, deadlock, lock not available; and the division by zero with which a write refuses a batch that
was evaluated too long ago (`write.py`)."""
_READ_ONLY = "25006"
_NO_SCHEMA = frozenset({"42P01", "42703", "3F000"})
"""No such table, column, schema."""
_TOO_LARGE = frozenset({"54000", "53200"})
"""A limit of the program, out of memory (for one statement, on CockroachDB)."""


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
    if state == _READ_ONLY:
        return Failure.READ_ONLY
    if state in _NO_SCHEMA:
        return Failure.NO_SCHEMA
    if state[:2] in ("22", "23", "42", "0A"):
        return Failure.REFUSED
    return Failure.UNKNOWN


def refuses_content(error: BaseException) -> bool:
    """Whether the database refuses what was to be written, and not the statement: a value out of range, a violated
    constraint. A missing right would refuse whatever is written."""
    if classify(error) is not Failure.REFUSED:
        return False
    return isinstance(error, psycopg.DataError) or sqlstate(error)[:2] in ("22", "23")


def too_large(error: BaseException) -> bool:
    """Whether less at once may pass: CockroachDB limits a message (16 MiB), a command (64 MiB) and a statement's
    memory, and has no SQLSTATE of its own for the first two."""
    said = str(error)
    return sqlstate(error) in _TOO_LARGE or "command is too large" in said or "maximum allowed message size" in said


def unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """What a caller is told of `error`; None where the statement rather than the database is at fault."""
    match classify(error):
        case Failure.READ_ONLY:
            return DatabaseReadOnly("The database is read-only now; nothing was posted. Try again with the same key.")
        case Failure.NO_SCHEMA:
            return SchemaMissing("The database lacks this version's schema; nothing was done. Run `chronicle migrate`.")
        case Failure.REFUSED:
            return None
    return DatabaseUnavailable("The database does not answer; try again.")


def session_useless(error: BaseException) -> bool:
    """Whether `error` is about the session it met, so that others of the same age are suspect too."""
    return connection_lost(error) or classify(error) is Failure.READ_ONLY


def connection_lost(error: BaseException) -> bool:
    """Whether `error` is about the connection it met, so that others of the same age are suspect too."""
    if isinstance(error, (PoolTimeout, PoolClosed, TooManyRequests)):
        return False
    return isinstance(error, OSError) or sqlstate(error)[:2] == "08" or sqlstate(error)[:4] == "57P0"


DATABASE_ERRORS = (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests, OSError)
"""What a broken, slow or absent database makes the driver and its pool raise."""
