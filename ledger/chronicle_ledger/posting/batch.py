"""One attempt at a batch: load under locks, evaluate in memory, write and commit. Two round trips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from chronicle_ledger.domain.book import Book, NotLoaded, Outcome
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import BatchAborted, ClocksDisagree, LedgerError
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.holds import as_placed, expire_ended
from chronicle_ledger.domain.needs import Facts, accounts_of, hold_of, target_of
from chronicle_ledger.domain.transaction import Hold, Transaction, TransactionKind
from chronicle_ledger.posting.clocks import Clocks, Reading
from chronicle_ledger.posting.work import Posted, Result, Results, Work
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.load import Need, load_book
from chronicle_ledger.store.migrate import keys_shared_until
from chronicle_ledger.store.pool import Connection, Database
from chronicle_ledger.store.sabotaged import write_sabotaged
from chronicle_ledger.store.write import write_and_commit


@dataclass(slots=True)
class Attempt:
    """What came of an attempt: an answer for each work that has one, and the works that need more accounts.

    `locking` and `writing` are the seconds of its two round trips; nothing was written where `writing` is 0.
    """

    answers: list[tuple[Work, Results]]
    incomplete: list[Work]
    locking: float = 0.0
    writing: float = 0.0


def need_of(works: Sequence[Work], facts: Facts) -> Need:
    """What to load for `works`."""
    accounts = set().union(*[work.accounts for work in works])
    commands = [command for work in works for command in work.commands]
    holds = {id_ for command in commands if (id_ := hold_of(command)) is not None}
    targets = {id_ for command in commands if (id_ := target_of(command)) is not None}
    ids = [command.id for command in commands]
    if facts.former_keys:
        ids += [command.former_id for command in commands if command.former_id is not None]
    ended_on = list(set().union(*[work.ended_on for work in works]))
    return Need(accounts, ids, list(holds), list(targets), ended_on)


def evaluate_one(book: Book, command: Command, now: datetime) -> tuple[Posted, Outcome | None]:
    """The answer to `command`, applied to the book unless it is a replay. Raises LedgerError or NotLoaded."""
    existing = book.replay(command)
    if existing is not None:
        return Posted(existing, replayed=True, hold=_hold_of(book, existing)), None
    outcome = evaluate(book, book.identified(command, now), now)
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


def evaluate_works(
    book: Book, works: Sequence[Work], now: datetime, ended: Sequence[Hold] = ()
) -> tuple[Attempt, list[Outcome]]:
    """Expire `ended`, then evaluate `works` one after the other, each seeing what those before it did."""
    attempt = Attempt([], [])
    outcomes = expire_ended(book, ended, now)
    progress = bool(outcomes)
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
            work.ended_on |= missing.ended_on
            # Holds are expired some at a time, so a work that needs many of them comes again as long as there are any.
            work.passes += not (progress and missing.ended_on)
            attempt.incomplete.append(work)
    return attempt, outcomes


async def learn_keys(connection: Connection, facts: Facts) -> None:
    """Look whose keys this ledger has, which never changes."""
    facts.keys_known, facts.keys_shared_until = await keys_shared_until(connection)


async def attempt_batch(
    database: Database,
    works: Sequence[Work],
    facts: Facts,
    clocks: Clocks,
    *,
    timeout: float,  # noqa: ASYNC109 - waiting for a connection, in seconds
    sabotage: Sabotage | None = None,
) -> Attempt:
    """Try to post `works`; on return everything that was posted is committed.

    Raises what the driver raises, and ClocksDisagree where this replica's clock is not the database's.
    """
    async with database.raw_connection(timeout) as connection:
        if not facts.keys_known:
            with database.watch(connection):
                await learn_keys(connection, facts)
            for work in works:
                work.accounts = work.accounts.union(*[accounts_of(command, facts) for command in work.commands])
        need = need_of(works, facts)
        lock = sabotage is not Sabotage.VERSION_CHECK
        began = perf_counter()
        before_moment = clocks.own()
        with database.watch(connection):
            loaded = await load_book(connection, need, lock=lock, limits=database.limits)
        locked = perf_counter()
        book = loaded.book
        try:
            now = clocks.posting_time(Reading(before_moment, loaded.moment, clocks.own()))
        except ClocksDisagree:
            await connection.rollback()
            raise
        book.currencies = facts.currencies
        book.keys_shared_until = facts.keys_shared_until
        book.enforce_floors = sabotage is not Sabotage.BALANCE_FLOOR
        before = dict(book.accounts)
        attempt, outcomes = evaluate_works(book, works, now, loaded.ended)
        attempt.locking = locked - began
        evaluated = perf_counter()
        with database.watch(connection):
            if not outcomes:
                await connection.rollback()
            elif sabotage in (Sabotage.VERSION_CHECK, Sabotage.OUTBOX_TRANSACTION):
                await write_sabotaged(connection, outcomes, before, sabotage)
            else:
                await write_and_commit(connection, outcomes, before, loaded.moment)
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
