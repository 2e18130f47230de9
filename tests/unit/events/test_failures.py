"""What each SQLSTATE means, and what those who write do about it: the posting engine, and the projector."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from chronicle_ledger.domain.errors import DatabaseUnavailable, LedgerError
from chronicle_ledger.events import view_writer
from chronicle_ledger.events.view_writer import ATTEMPTS, in_transaction
from chronicle_ledger.posting import runner
from chronicle_ledger.posting.batch import Attempt
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.posting.work import Work
from chronicle_ledger.store.failures import Failure, classify, connection_lost, refuses_content, sqlstate
from chronicle_ledger.store.pool import Database
from support.ledger_bench import account_named, codes, deposit

CONFLICT, DUPLICATE, UNKNOWN, REFUSED = Failure.CONFLICT, Failure.DUPLICATE, Failure.UNKNOWN, Failure.REFUSED

STATES = {
    "40001": CONFLICT,  # serialization failure
    "40P01": CONFLICT,  # deadlock
    "55P03": CONFLICT,  # a lock was not available
    "23505": DUPLICATE,
    "40003": UNKNOWN,  # CockroachDB: the commit's result is ambiguous
    "57014": UNKNOWN,  # statement time-out: it may have been the commit
    "08000": UNKNOWN,
    "08003": UNKNOWN,
    "08006": UNKNOWN,
    "57P01": UNKNOWN,  # the server is shut down
    "57P03": UNKNOWN,
    "25P03": UNKNOWN,  # idle in transaction for too long
    "53300": UNKNOWN,  # too many connections
    "XX000": UNKNOWN,  # CockroachDB: lost quorum, among others
    "XXUUU": UNKNOWN,
    "22003": REFUSED,  # out of range
    "22021": REFUSED,  # not in the encoding
    "23502": REFUSED,  # not null
    "23514": REFUSED,  # check
    "42P01": REFUSED,  # no such table
    "42501": REFUSED,  # no right to it
    "0A000": REFUSED,  # not implemented
}
LOST = {"08000", "08003", "08006", "57P01", "57P03"}
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


class Pool:
    """Connections that do nothing, and how often all of them were replaced."""

    def __init__(self) -> None:
        self.drained = 0

    @contextlib.asynccontextmanager
    async def connection(self, **_: Any) -> AsyncIterator[Pool]:
        yield self

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def drain(self) -> None:
        self.drained += 1

    def database(self) -> Database:
        return Database(cast("Any", self), statement_timeout=3.0)


ORDERS = [deposit(f"key {number}", account_named(f"account {number}"), 1) for number in range(2)]


class Attempts:
    """Stands for the attempts of the posting engine at a batch: fails as told, and notes which commands were in it."""

    def __init__(self, fail: Callable[[int, list[Any]], str | None]) -> None:
        self.batches: list[list[Any]] = []
        self._fail = fail

    async def __call__(self, _: Database, works: Sequence[Work], *__: Any, **___: Any) -> Attempt:
        commands = [command.id for work in works for command in work.commands]
        self.batches.append(commands)
        if state := self._fail(len(self.batches), commands):
            raise failed(state)
        return Attempt([(work, [AnsweredAtLast("posted")]) for work in works], [])


class AnsweredAtLast(LedgerError):
    """Instead of a transaction, of which nothing is looked at here."""

    code = "posted"


async def _post(
    monkeypatch: pytest.MonkeyPatch, commands: int, fail: Callable[[int, list[Any]], str | None]
) -> tuple[Attempts, dict[str, int], Pool]:
    attempts, pool = Attempts(fail), Pool()
    monkeypatch.setattr(runner, "attempt_batch", attempts)
    service = PostingService(pool.database())
    await service.start()
    results = await service.submit_many(ORDERS[:commands], atomic=False, deadline=30)
    await service.drain(1)
    return attempts, dict(codes(results)), pool


@pytest.mark.parametrize("state", [state for state, meaning in STATES.items() if meaning is not REFUSED])
async def test_what_may_have_been_done_or_was_not_is_posted_again_under_the_same_key(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    attempts, answers, pool = await _post(monkeypatch, 1, lambda count, _: state if count <= 2 else None)
    assert attempts.batches == [[ORDERS[0].id]] * 3
    assert answers == {"posted": 1}
    assert pool.drained == (state in LOST), "the other connections lead to the same server"


async def test_a_batch_that_took_too_long_goes_on_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts, answers, _ = await _post(monkeypatch, 2, lambda count, _: "57014" if count == 1 else None)
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
