"""What each SQLSTATE means, and what those who write do about it: the posting engine, and the projector."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self, cast

import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

import chronicle_ledger
from chronicle_ledger.domain.errors import DatabaseUnavailable, LedgerError
from chronicle_ledger.events import view_writer
from chronicle_ledger.events.view_writer import ATTEMPTS, in_transaction
from chronicle_ledger.posting import runner
from chronicle_ledger.posting.batch import Attempt
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.posting.work import Work
from chronicle_ledger.store.failures import (
    Failure,
    classify,
    connection_lost,
    refuses_content,
    sqlstate,
    too_large,
)
from chronicle_ledger.store.pool import Database
from support.ledger_bench import account_named, codes, deposit

CONFLICT, DUPLICATE, UNKNOWN, REFUSED = Failure.CONFLICT, Failure.DUPLICATE, Failure.UNKNOWN, Failure.REFUSED
READ_ONLY, NO_SCHEMA = Failure.READ_ONLY, Failure.NO_SCHEMA

STATES = {
    "40001": CONFLICT,  # serialization failure
    "40P01": CONFLICT,  # deadlock
    "55P03": CONFLICT,  # a lock was not available
    "22012": CONFLICT,  # evaluated too long ago
    "23505": DUPLICATE,
    "40003": UNKNOWN,  # CockroachDB: the commit's result is ambiguous
    "57014": UNKNOWN,  # statement time-out: it may have been the commit
    "08000": UNKNOWN,
    "08003": UNKNOWN,
    "08006": UNKNOWN,
    "57P01": UNKNOWN,  # the server is shut down
    "57P02": UNKNOWN,  # a server process crashed
    "57P03": UNKNOWN,  # it starts
    "25P03": UNKNOWN,  # idle in transaction for too long
    "53300": UNKNOWN,  # too many connections
    "XX000": UNKNOWN,  # CockroachDB: lost quorum, among others
    "XXUUU": UNKNOWN,
    "22003": REFUSED,  # out of range
    "22021": REFUSED,  # not in the encoding
    "23502": REFUSED,  # not null
    "23514": REFUSED,  # check
    "25006": READ_ONLY,
    "42P01": NO_SCHEMA,  # no such table
    "42703": NO_SCHEMA,  # no such column
    "42501": REFUSED,  # no right to it
    "0A000": REFUSED,  # not implemented
}
LOST = {"08000", "08003", "08006", "57P01", "57P02", "57P03"}
ABOUT_CONTENT = {"22003", "22021", "23502", "23514"}


def failed(state: str | None) -> psycopg.Error:
    """An error as the driver raises it for an SQLSTATE, known to it or not."""
    try:
        kind = psycopg.errors.lookup(state or "")
    except KeyError:
        kind = type("Unforeseen", (psycopg.OperationalError,), {"sqlstate": state})
    return kind("as the server says")


@pytest.mark.parametrize(("state", "meaning"), STATES.items())
def test_each_sqlstate_has_one_meaning(state: str, meaning: Failure) -> None:
    error = failed(state)
    assert sqlstate(error) == state
    assert classify(error) is meaning
    assert connection_lost(error) is (state in LOST)
    assert refuses_content(error) is (state in ABOUT_CONTENT)


@pytest.mark.parametrize(
    ("error", "meaning", "lost", "content"),
    [
        (psycopg.OperationalError("server closed the connection"), UNKNOWN, True, False),
        (OSError("no route"), UNKNOWN, True, False),
        (PoolTimeout("none free"), UNKNOWN, False, False),
        (PoolClosed("closed"), UNKNOWN, False, False),
        (TooManyRequests("too many wait"), UNKNOWN, False, False),
        (psycopg.DataError("text cannot contain NUL"), REFUSED, True, True),
        (psycopg.ProgrammingError("cannot adapt"), REFUSED, True, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_without_a_sqlstate_come_from_the_driver_or_the_network(
    error: Exception, meaning: Failure, lost: bool, content: bool
) -> None:
    assert classify(error) is meaning
    if meaning is not REFUSED:  # nobody asks about the connection where nothing was sent
        assert connection_lost(error) is lost
    assert refuses_content(error) is content


SILENT, _SERVER = os.pipe()
"""Of a session to which the server says nothing."""


class Pool:
    """Connections that do nothing, and how often all of them were replaced."""

    def __init__(self) -> None:
        self.drained = 0

    async def getconn(self, **_: Any) -> Pool:
        return self

    async def putconn(self, _: Pool) -> None:
        """Take it back."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what was begun on it."""

    def fileno(self) -> int:
        return SILENT

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def drain(self) -> None:
        self.drained += 1

    async def close(self) -> None:
        """Of a session that is of no use any longer."""

    def database(self) -> Database:
        return Database(cast("Any", self), statement_timeout=3.0)


Fail = Callable[[int, list[Any]], str | psycopg.Error | None]
"""The SQLSTATE or the error by which an attempt fails, by its number and its commands."""

ORDERS = [deposit(f"key {number}", account_named(f"account {number}"), 1) for number in range(2)]


class Attempts:
    """Stands for the attempts of the posting engine at a batch: fails as told, and notes which commands were in it."""

    def __init__(self, fail: Fail) -> None:
        self.batches: list[list[Any]] = []
        self._fail = fail

    async def __call__(self, _: Database, works: Sequence[Work], *__: Any, **___: Any) -> Attempt:
        commands = [command.id for work in works for command in work.commands]
        self.batches.append(commands)
        if state := self._fail(len(self.batches), commands):
            raise failed(state) if isinstance(state, str) else state
        return Attempt([(work, [AnsweredAtLast("posted")]) for work in works], [])


class AnsweredAtLast(LedgerError):
    """Instead of a transaction, of which nothing is looked at here."""

    code = "posted"


async def _post(monkeypatch: pytest.MonkeyPatch, commands: int, fail: Fail) -> tuple[Attempts, dict[str, int], Pool]:
    attempts, pool = Attempts(fail), Pool()
    monkeypatch.setattr(runner, "attempt_batch", attempts)
    service = PostingService(pool.database())
    await service.start()
    results = await service.submit_many(ORDERS[:commands], atomic=False, deadline=30)
    await service.drain(1)
    return attempts, dict(codes(results)), pool


@pytest.mark.parametrize(
    "state", [state for state, meaning in STATES.items() if meaning not in (REFUSED, READ_ONLY, NO_SCHEMA)]
)
async def test_what_may_have_been_done_or_was_not_is_posted_again_under_the_same_key(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    attempts, answers, pool = await _post(monkeypatch, 1, lambda count, _: state if count <= 2 else None)
    assert attempts.batches == [[ORDERS[0].id]] * 3
    assert answers == {"posted": 1}
    assert pool.drained == (state in LOST), "the other connections lead to the same server"


async def test_what_a_read_only_session_refuses_is_tried_once_on_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts, answers, pool = await _post(monkeypatch, 2, lambda count, _: "25006" if count == 1 else None)
    assert [len(batch) for batch in attempts.batches] == [2, 2]
    assert answers == {"posted": 2}
    assert pool.drained == 1, "the other sessions are as old"


async def test_a_database_that_stays_read_only_is_said_to_be_after_two_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, answers, pool = await _post(monkeypatch, 2, lambda *_: "25006")
    assert [len(batch) for batch in attempts.batches] == [2, 2]
    assert answers == {"database_read_only": 2}
    assert pool.drained == 1, "not more than once a second"


@pytest.mark.parametrize("state", ["42P01", "42703"])
async def test_without_the_schema_nobody_waits(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    attempts, answers, _ = await _post(monkeypatch, 2, lambda *_: state)
    assert len(attempts.batches) == 1, "a part of the batch would miss the table too"
    assert answers == {"schema_missing": 2}


@pytest.mark.parametrize(
    "error",
    [
        failed("54000"),
        failed("53200"),
        psycopg.errors.InternalError_("command is too large: 70000000 bytes (max: 67108864)"),
        psycopg.errors.ProtocolViolation("message size 17 MiB bigger than maximum allowed message size 16 MiB"),
    ],
)
async def test_what_is_refused_for_its_size_goes_on_in_halves(
    monkeypatch: pytest.MonkeyPatch, error: psycopg.Error
) -> None:
    assert too_large(error)
    attempts, answers, _ = await _post(monkeypatch, 2, lambda count, _: error if count == 1 else None)
    assert [len(batch) for batch in attempts.batches] == [2, 1, 1]
    assert answers == {"posted": 2}


@pytest.mark.parametrize("state", ["57014", "22012"])
async def test_a_batch_that_took_too_long_goes_on_in_halves(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    attempts, answers, _ = await _post(monkeypatch, 2, lambda count, _: state if count == 1 else None)
    assert [len(batch) for batch in attempts.batches] == [2, 1, 1]
    assert answers == {"posted": 2}


async def test_what_is_refused_is_tried_alone_once_and_fails_none_of_its_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, answers, _ = await _post(monkeypatch, 2, lambda _, ids: "22003" if ORDERS[1].id in ids else None)
    assert [len(batch) for batch in attempts.batches] == [2, 1, 1]
    assert answers == {LedgerError.code: 1, "posted": 1}


async def test_a_duplicate_that_never_shows_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts, answers, _ = await _post(monkeypatch, 1, lambda *_: "23505")
    assert len(attempts.batches) == 6
    assert answers == {LedgerError.code: 1}


@pytest.mark.parametrize(("state", "meaning"), STATES.items())
async def test_the_read_model_is_written_again_after_whatever_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, state: str, meaning: Failure
) -> None:
    monkeypatch.setattr(view_writer, "Backoff", lambda **_: NoPause())
    runs: list[int] = []

    async def work(_: object) -> str:
        runs.append(len(runs))
        if len(runs) < ATTEMPTS:
            raise failed(state)
        return "written"

    writing = in_transaction(Pool().database(), work)
    if meaning is REFUSED:
        with pytest.raises(psycopg.Error, match="as the server says"):
            await writing
        assert len(runs) == 1
    else:
        assert await writing == "written"
        assert len(runs) == ATTEMPTS


async def test_writing_the_read_model_is_given_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_writer, "Backoff", lambda **_: NoPause())
    runs: list[int] = []

    async def work(_: object) -> None:
        runs.append(len(runs))
        raise failed("40001")

    with pytest.raises(DatabaseUnavailable):
        await in_transaction(Pool().database(), work)
    assert len(runs) == ATTEMPTS


class NoPause:
    """A backoff that does not wait."""

    def after_failure(self) -> float:
        return 0.0


def test_no_code_decides_by_the_name_of_a_constraint() -> None:
    package = Path(chronicle_ledger.__file__).parent
    sources = [path for path in package.rglob("*.py") if "constraint_name" in path.read_text(encoding="utf-8")]
    assert sources == [], "CockroachDB gives none with an error"
