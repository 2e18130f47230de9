"""The pure part of a batch: what it needs, what each command becomes, and who hears of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from chronicle_ledger.domain.account import system_account_id, system_account_ids
from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.commands import CaptureHold, Command, OpenAccount, PlaceHold, ReleaseHold, Reverse
from chronicle_ledger.domain.errors import BatchAborted, DatabaseUnavailable, InsufficientFunds, RequestInProgress
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.needs import Facts, accounts_of
from chronicle_ledger.domain.transaction import HoldState
from chronicle_ledger.posting.batch import evaluate_works, need_of
from chronicle_ledger.posting.work import Posted, Results, Work
from support.ledger_bench import command, deposit, transfer, withdrawal

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
A, B = (uuid5(UUID(int=9), name) for name in "ab")
FORMER = UUID(int=77)


def book() -> Book:
    """A has 100, B nothing."""
    made = Book(loaded={A, B, *system_account_ids("EUR")})
    for number, account in enumerate((A, B)):
        opening = command(OpenAccount, f"open {number}", account_id=account, currency="EUR")
        made.apply(evaluate(made, opening, NOW))
    made.apply(evaluate(made, deposit("fund", A, 100), NOW))
    made.currencies = {"EUR"}
    return made


def work(*commands: Command) -> Work:
    return Work(commands, {A, B}, 10.0)


def said(results: Results) -> list[Any]:
    """Each answer in short."""
    return [("replayed" if r.replayed else "posted") if isinstance(r, Posted) else r.code for r in results]


def test_a_batch_needs_the_rows_of_all_its_commands() -> None:
    captured, reversed_ = UUID(int=1), UUID(int=2)
    works = [work(deposit("d", A, 1)), work(command(CaptureHold, "c", hold_id=captured), command(Reverse, "r", transaction_id=reversed_))]  # fmt: skip # noqa: E501
    works[1].ended_on.add(B)
    works[0].accounts = {A}
    works[1].accounts = {B}
    need = need_of(works, Facts())
    assert need.accounts == {A, B}
    assert list(need.transactions) == [one.id for some in works for one in some.commands]
    assert (list(need.holds), list(need.targets), list(need.ended_on)) == ([captured], [reversed_], [B])


@pytest.mark.parametrize(
    ("known", "until", "looked_for"), [(False, None, True), (True, NOW, True), (True, None, False)]
)
def test_former_ids_are_looked_for_where_there_may_be_any(
    known: bool, until: datetime | None, looked_for: bool
) -> None:
    facts = Facts(keys_known=known, keys_shared_until=until)
    asked = deposit("d", A, 1, former_id=FORMER)
    assert (FORMER in need_of([work(asked)], facts).transactions) is looked_for
    opening = command(OpenAccount, "o", account_id=A, currency="EUR", former_id=FORMER)
    facts.currencies.add("EUR")
    meeting = {system_account_id("EUR", FORMER)} if looked_for else set()
    assert accounts_of(opening, facts) == {A} | meeting


def test_each_work_sees_what_those_before_it_did_and_a_refusal_harms_none() -> None:
    works = [work(withdrawal("w1", A, 70)), work(withdrawal("w2", A, 70)), work(withdrawal("w3", A, 30))]
    attempt, outcomes = evaluate_works(book(), works, NOW)
    assert [said(results) for _, results in attempt.answers] == [["posted"], ["insufficient_funds"], ["posted"]]
    assert [one for one, _ in attempt.answers] == works
    assert [o.transaction.id for o in outcomes] == [works[0].commands[0].id, works[2].commands[0].id]


def test_a_repetition_in_one_batch_is_a_replay_and_posts_nothing() -> None:
    attempt, outcomes = evaluate_works(book(), [work(deposit("d", A, 1)), work(deposit("d", A, 1))], NOW)
    assert [said(results) for _, results in attempt.answers] == [["posted"], ["replayed"]]
    assert len(outcomes) == 1


def test_of_an_atomic_work_all_are_posted_or_none() -> None:
    ledger = book()
    good = work(transfer("t1", A, B, 60), transfer("t2", B, A, 10))
    bad = work(transfer("t3", A, B, 50), transfer("t4", A, B, 1), withdrawal("w", B, 1))
    after = work(withdrawal("w2", A, 50))
    attempt, outcomes = evaluate_works(ledger, [good, bad, after], NOW)
    assert [said(results) for _, results in attempt.answers] == [
        ["posted", "posted"],
        ["batch_aborted", "insufficient_funds", "batch_aborted"],
        ["posted"],
    ]
    aborted = attempt.answers[1][1][0]
    assert isinstance(aborted, BatchAborted)
    assert aborted.figures == {"refused": 1}
    assert [o.transaction.id for o in outcomes] == [c.id for c in (*good.commands, *after.commands)]
    assert ledger.accounts[B].balance == 50


def test_the_answer_to_a_repeated_hold_is_the_hold_as_it_was_placed_and_to_its_end_as_it_ended() -> None:
    ledger = book()
    placing = command(PlaceHold, "h", account_id=A, amount=10, lasts=timedelta(hours=1))
    releasing = command(ReleaseHold, "r", hold_id=placing.id)
    works = [work(c) for c in (placing, releasing, placing, releasing, deposit("d", A, 1), deposit("d", A, 1))]
    attempt, _ = evaluate_works(ledger, works, NOW)
    holds = [result.hold for _, [result] in attempt.answers if isinstance(result, Posted)]
    assert [hold and hold.state for hold in holds] == [
        HoldState.PENDING, HoldState.RELEASED, HoldState.PENDING, HoldState.RELEASED, None, None
    ]  # fmt: skip
    assert holds[2] == holds[0]


def test_what_was_not_loaded_is_asked_for_and_the_others_go_on() -> None:
    other = uuid5(UUID(int=9), "other")
    lacking = work(transfer("t", A, other, 1))
    attempt, outcomes = evaluate_works(book(), [lacking, work(deposit("d", A, 1))], NOW)
    assert (attempt.incomplete, lacking.passes) == ([lacking], 1)
    assert lacking.accounts == {A, B, other}
    assert [said(results) for _, results in attempt.answers] == [["posted"]]
    assert len(outcomes) == 1


def test_holds_that_are_over_are_expired_first_and_a_work_that_needs_more_of_them_has_made_progress() -> None:
    ledger = book()
    placed = [command(PlaceHold, f"h{i}", account_id=A, amount=50, lasts=timedelta(seconds=1)) for i in range(2)]
    for one in placed:
        ledger.apply(evaluate(ledger, one, NOW))
    later = NOW + timedelta(seconds=2)
    wanting = work(withdrawal("w", A, 80))
    attempt, outcomes = evaluate_works(ledger, [wanting], later)
    assert (attempt.incomplete, outcomes, wanting.passes, wanting.ended_on) == ([wanting], [], 1, {A})
    attempt, outcomes = evaluate_works(ledger, [wanting], later, [ledger.holds[placed[0].id]])
    assert (attempt.incomplete, len(outcomes), wanting.passes) == ([wanting], 1, 1)
    assert [ledger.holds[one.id].state for one in placed] == [HoldState.EXPIRED, HoldState.PENDING]
    ledger.swept.add(A)
    attempt, outcomes = evaluate_works(ledger, [wanting], later, [ledger.holds[placed[1].id]])
    assert (said(attempt.answers[0][1]), len(outcomes)) == (["posted"], 2)


def test_a_work_of_many_commands_that_lacks_holds_changes_nothing() -> None:
    ledger = book()
    ledger.apply(evaluate(ledger, command(PlaceHold, "h", account_id=A, amount=50), NOW))
    before = dict(ledger.accounts)
    together = work(withdrawal("w1", A, 10), withdrawal("w2", A, 80))
    attempt, outcomes = evaluate_works(ledger, [together], NOW)
    assert (attempt.incomplete, outcomes, ledger.accounts) == ([together], [], before)


async def test_who_waits_is_answered_once_and_those_who_came_second_hear_of_a_replay() -> None:
    one = work(deposit("d", A, 1))
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[Results]] = [loop.create_future() for _ in range(3)]
    for future, ends, duplicate in zip(futures, (5.0, 20.0, 6.0), (False, True, True), strict=True):
        one.wait(future, ends, duplicate=duplicate)
    assert one.deadline == 20.0
    one.expire(4.9)
    assert not any(future.done() for future in futures)
    one.expire(6.0)
    assert [type(future.result()[0]) for future in (futures[0], futures[2])] == [DatabaseUnavailable, RequestInProgress]
    attempt, _ = evaluate_works(book(), [one], NOW)
    one.answer(attempt.answers[0][1])
    assert said(await futures[1]) == ["replayed"]
    assert isinstance((await futures[0])[0], DatabaseUnavailable), "the first answer stays"


async def test_who_comes_first_hears_that_it_was_posted() -> None:
    one = work(deposit("d", A, 1))
    future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
    one.wait(future, 5.0)
    attempt, _ = evaluate_works(book(), [one], NOW)
    one.answer(attempt.answers[0][1])
    assert said(await future) == ["posted"]


async def test_a_failure_is_the_answer_to_each_command() -> None:
    both = work(deposit("d", A, 1), deposit("e", A, 1))
    future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
    both.wait(future, 1.0)
    error = InsufficientFunds("no")
    both.fail(error)
    assert await future == [error, error]
