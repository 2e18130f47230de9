"""One attempt at a batch: load under locks, evaluate in memory, write and commit. Two round trips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from chronicle_ledger.domain.book import Book, NotLoaded, Outcome
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import BatchAborted, LedgerError
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.holds import as_placed
from chronicle_ledger.domain.needs import Facts, accounts_of, hold_of, target_of
from chronicle_ledger.domain.transaction import Hold, Transaction, TransactionKind
from chronicle_ledger.posting.work import Posted, Result, Results, Work
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.load import Need, load_book
from chronicle_ledger.store.pool import Database
from chronicle_ledger.store.sabotaged import write_sabotaged
from chronicle_ledger.store.write import write_and_commit

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Attempt:
    """What came of an attempt: an answer for each work that has one, and the works that need more accounts.

    `locking` and `writing` are the seconds of its two round trips; nothing was written where `writing` is 0.
    """

    answers: list[tuple[Work, Results]]
    incomplete: list[Work]
    locking: float = 0.0
    writing: float = 0.0


def need_of(works: Sequence[Work]) -> Need:
    """What to load for `works`."""
    accounts = set().union(*[work.accounts for work in works])
    commands = [command for work in works for command in work.commands]
    holds = {id_ for command in commands if (id_ := hold_of(command)) is not None}
    targets = {id_ for command in commands if (id_ := target_of(command)) is not None}
    return Need(accounts, [command.id for command in commands], list(holds), list(targets))


def evaluate_one(book: Book, command: Command, now: datetime) -> tuple[Posted, Outcome | None]:
    """The answer to `command`, applied to the book unless it is a replay. Raises LedgerError or NotLoaded."""
    existing = book.replay(command.id, command.fingerprint)
    if existing is not None:
        return Posted(existing, replayed=True, hold=_hold_of(book, existing)), None
    outcome = evaluate(book, command, now)
    book.apply(outcome)
    return Posted(outcome.transaction, replayed=False, hold=outcome.hold), outcome


def _hold_of(book: Book, posted: Transaction) -> Hold | None:
    """The hold after `posted`: what ended it left it as it still is, what placed it has it in its details."""
    if posted.kind is TransactionKind.HOLD:
        return as_placed(posted)
    return None if posted.hold_id is None else book.holds.get(posted.hold_id)


def aborted_by(index: int) -> BatchAborted:
    """What the others of an atomic batch are answered when the command at `index` is refused."""
    return BatchAborted(f"Nothing was posted, since transaction {index} was refused.", refused=index)


def evaluate_together(book: Book, commands: Sequence[Command], now: datetime) -> tuple[list[Result], list[Outcome]]:
    """All of `commands`, or none: when one is refused the book is as before and the others are BatchAborted."""
    trial = book.copy()
    results: list[Result] = []
    outcomes: list[Outcome] = []
    for index, command in enumerate(commands):
        try:
            posted, outcome = evaluate_one(trial, command, now)
        except LedgerError as error:
            return [error if i == index else aborted_by(index) for i in range(len(commands))], []
        results.append(posted)
        if outcome is not None:
            outcomes.append(outcome)
    for outcome in outcomes:
        book.apply(outcome)
    return results, outcomes


def evaluate_works(book: Book, works: Sequence[Work], now: datetime) -> tuple[Attempt, list[Outcome]]:
    """Evaluate `works` one after the other, each seeing what those before it did."""
    attempt = Attempt([], [])
    outcomes: list[Outcome] = []
    for work in works:
        try:
            if len(work.commands) == 1:
                posted, outcome = evaluate_one(book, work.commands[0], now)
                if outcome is not None:
                    outcomes.append(outcome)
                attempt.answers.append((work, [posted]))
            else:
                results, several = evaluate_together(book, work.commands, now)
                outcomes.extend(several)
                attempt.answers.append((work, results))
        except LedgerError as error:
            attempt.answers.append((work, [error]))
        except NotLoaded as missing:
            work.accounts |= missing.account_ids
            work.passes += 1
            attempt.incomplete.append(work)
    return attempt, outcomes


async def attempt_batch(
    database: Database,
    works: Sequence[Work],
    facts: Facts,
    clock: Clock,
    *,
    timeout: float,  # noqa: ASYNC109 - waiting for a connection, in seconds
    sabotage: Sabotage | None = None,
) -> Attempt:
    """Try to post `works`; on return everything that was posted is committed. Raises what the driver raises."""
    need = need_of(works)
    async with database.raw_connection(timeout) as connection:
        lock = sabotage is not Sabotage.VERSION_CHECK
        began = perf_counter()
        with database.watch(connection):
            book = await load_book(connection, need, lock=lock)
        locked = perf_counter()
        book.currencies = facts.currencies
        book.enforce_floors = sabotage is not Sabotage.BALANCE_FLOOR
        before = dict(book.accounts)
        attempt, outcomes = evaluate_works(book, works, clock())
        attempt.locking = locked - began
        evaluated = perf_counter()
        with database.watch(connection):
            if not outcomes:
                await connection.rollback()
            elif sabotage in (Sabotage.VERSION_CHECK, Sabotage.OUTBOX_TRANSACTION):
                await write_sabotaged(connection, outcomes, before, sabotage)
            else:
                await write_and_commit(connection, outcomes, before)
        if outcomes:
            attempt.writing = perf_counter() - evaluated
    # Only those whose lack cost a second pass: the accounts of transfers need not be remembered.
    facts.learn(book, [account_id for work in attempt.incomplete for account_id in work.accounts])
    for work in attempt.incomplete:
        # Evaluation stops at the first account that is missing; what was learned just now may name all the others.
        work.accounts = work.accounts.union(*[accounts_of(command, facts) for command in work.commands])
    for outcome in outcomes:
        if outcome.transaction.kind is TransactionKind.ACCOUNT_OPENED:
            facts.currencies.add(outcome.transaction.details["currency"])
    return attempt
