"""Which work shares a batch: order per account is kept, disjoint work runs side by side, a hot account coalesces."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_ledger.domain.account import AccountStatus, system_account_ids
from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.commands import Command, Leg, OpenAccount, PlaceHold, PostEntries, UpdateAccount
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.posting.dispatcher import Dispatcher
from chronicle_ledger.posting.service import PostingLimits
from chronicle_ledger.posting.weight import weight_of
from chronicle_ledger.posting.work import Work
from chronicle_ledger.store import write
from support.ledger_bench import command, deposit

IDS = [uuid.UUID(int=i) for i in range(6)]
LARGE = 1 << 30


def work(*accounts: int, deadline: float = 10.0) -> Work:
    """A command on accounts."""
    return Work((Command(id=uuid.uuid4(), fingerprint=b"", posted_by="tests"),), {IDS[i] for i in accounts}, deadline)


def test_work_on_a_hot_account_gathers_into_the_next_batch() -> None:
    dispatcher = Dispatcher(max_batch=100, max_queue=100, max_bytes=LARGE)
    assert dispatcher.take() == []
    first = work(0, 1)
    dispatcher.offer(first)
    assert dispatcher.take() == [first]
    waiting = [work(0, 2 + i % 3) for i in range(9)]
    for item in waiting:
        dispatcher.offer(item)
    assert dispatcher.take() == []
    dispatcher.release([first], first.accounts)
    assert dispatcher.take() == waiting


def test_disjoint_work_runs_beside_a_batch_in_flight_and_blocked_work_holds_back_its_followers() -> None:
    dispatcher = Dispatcher(max_batch=100, max_queue=100, max_bytes=LARGE)
    first, blocked, follower, free = work(0), work(0, 1), work(1), work(2)
    dispatcher.offer(first)
    dispatcher.take()
    for item in (blocked, follower, free):
        dispatcher.offer(item)
    assert dispatcher.take() == [free]
    dispatcher.release([first], first.accounts)
    assert dispatcher.take() == [blocked, follower]


def test_a_full_queue_refuses_but_one_large_work_fits_an_empty_one() -> None:
    dispatcher = Dispatcher(max_batch=2, max_queue=3, max_bytes=LARGE)
    large = Work(tuple(Command(id=uuid.uuid4(), fingerprint=b"", posted_by="tests") for _ in range(5)), {IDS[0]}, 1.0)
    assert dispatcher.offer(large)
    assert not dispatcher.offer(work(1))
    assert dispatcher.take() == [large]
    assert dispatcher.offer(work(1))


def test_batches_halve_when_the_database_is_too_slow_and_grow_back() -> None:
    dispatcher = Dispatcher(max_batch=20, max_queue=100, max_bytes=LARGE)
    for _ in range(60):
        dispatcher.offer(work(0))
    sizes = []
    for change in (dispatcher.shrink, dispatcher.grow, dispatcher.grow, dispatcher.grow):
        change()
        batch = dispatcher.take()
        sizes.append(len(batch))
        dispatcher.release(batch, {IDS[0]})
    assert sizes == [10, 18, 20, 12]


def test_work_past_its_deadline_leaves_the_queue() -> None:
    dispatcher = Dispatcher(max_batch=2, max_queue=10, max_bytes=LARGE)
    late, early = work(0, deadline=1.0), work(1, deadline=9.0)
    dispatcher.offer(late)
    dispatcher.offer(early)
    assert dispatcher.expire(2.0) == [late]
    assert dispatcher.waiting == 1
    assert dispatcher.take() == [early]


@settings(max_examples=200, deadline=None)
@given(
    accounts=st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=3), max_size=30),
    choices=st.lists(st.integers(0, 3), max_size=60),
    size=st.integers(1, 5),
)
def test_whatever_the_timing_each_account_sees_its_work_in_order(
    accounts: list[set[int]], choices: list[int], size: int
) -> None:
    dispatcher = Dispatcher(max_batch=size, max_queue=1000, max_bytes=LARGE)
    works = [work(*chosen) for chosen in accounts]
    order = {id(item): index for index, item in enumerate(works)}
    for item in works:
        dispatcher.offer(item)
    flights: list[list[Work]] = []
    seen: list[Work] = []
    steps = iter(choices)
    while len(seen) < len(works) or flights:
        batch = dispatcher.take() if next(steps, 0) != 1 else []
        if batch:
            busy = {account for flight in flights for item in flight for account in item.accounts}
            assert all(item.accounts.isdisjoint(busy) for item in batch)
            flights.append(batch)
            seen += batch
        elif flights:
            done = flights.pop(next(steps, 0) % len(flights))
            dispatcher.release(done, {account for item in done for account in item.accounts})
    for account in IDS:
        positions = [order[id(item)] for item in seen if account in item.accounts]
        assert positions == sorted(positions)
    assert dispatcher.idle


def test_work_that_is_put_back_goes_first_and_counts_as_waiting_again() -> None:
    dispatcher = Dispatcher(max_batch=100, max_queue=100, max_bytes=LARGE)
    first, second, third = work(0), work(1), work(2)
    for item in (first, second):
        dispatcher.offer(item)
    taken = dispatcher.take()
    assert (taken, dispatcher.waiting) == ([first, second], 0)
    dispatcher.offer(third)
    dispatcher.release(taken, {IDS[0], IDS[1]})
    dispatcher.put_back(taken)
    assert dispatcher.waiting == 3
    assert dispatcher.take() == [first, second, third]


def test_as_many_batches_and_commands_go_at_once_as_the_documents_say() -> None:
    limits = PostingLimits()
    assert (limits.in_flight, limits.max_batch) == (3, 256)
    text = " ".join((Path(__file__).parents[3] / "docs" / "posting.md").read_text().split())
    assert "three batches at once, 256 commands each at most" in text
    dispatcher = Dispatcher(max_batch=limits.max_batch, max_queue=limits.max_queue, max_bytes=limits.max_bytes)
    for _ in range(300):
        dispatcher.offer(work(0))
    assert len(dispatcher.take()) == 256


def opening(note: str) -> Work:
    """An account that is opened with a text."""
    opens = command(OpenAccount, note[:3], account_id=uuid.uuid4(), currency="EUR", metadata={"note": note})
    return Work((opens,), {opens.account_id}, 10.0)


def test_a_batch_is_closed_before_it_is_larger_than_a_message_may_be_and_what_is_larger_goes_alone() -> None:
    small, large = opening("x"), opening("y" * 16_000)
    dispatcher = Dispatcher(max_batch=100, max_queue=100, max_bytes=2 * small.weight)
    works = [small, opening("z"), opening("z"), large, opening("z")]
    for one in works:
        dispatcher.offer(one)
    assert [dispatcher.take() for _ in range(4)] == [works[:2], works[2:3], [large], works[4:]]


HARDEST = {"note": '"\\' * 3000}
"""Each character becomes four."""


@pytest.mark.parametrize(
    ("asked", "slack"),
    [
        (command(OpenAccount, "o", account_id=IDS[0], currency="XAU", metadata=HARDEST), 1.2),
        (command(OpenAccount, "p", account_id=IDS[0], currency="XAU"), 2.0),
        (command(UpdateAccount, "u", account_id=IDS[1], account_metadata=HARDEST, metadata=HARDEST), 1.2),
        (command(UpdateAccount, "s", account_id=IDS[1], status=AccountStatus.FROZEN), 6.0),
        (command(PostEntries, "j", kind=TransactionKind.JOURNAL, legs=(Leg(IDS[1], 7), Leg(IDS[2], -7)) * 250), 2.2),
        (command(PlaceHold, "h", account_id=IDS[1], amount=2**53 - 1, metadata=HARDEST), 1.2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Command) else "",
)
def test_no_statement_of_a_batch_is_larger_than_what_its_commands_weigh(asked: Command, slack: float) -> None:
    book = Book(loaded={*IDS, *system_account_ids("EUR"), *system_account_ids("XAU")})
    now = datetime(2026, 1, 31, tzinfo=UTC)
    for id_ in IDS[1:3]:
        opens = command(OpenAccount, str(id_), account_id=id_, currency="EUR", floor=None, metadata=HARDEST)
        book.apply(evaluate(book, opens, now))
    book.apply(evaluate(book, deposit("d", IDS[1], 2**53 - 1), now))
    outcome = evaluate(book, asked, now)
    longest = max(
        sum(map(len, values))
        for values in (
            write.transaction_arrays([outcome]), write.entry_arrays([outcome]), write.outbox_arrays([outcome])
        )
    )  # fmt: skip
    assert longest <= weight_of(asked) <= slack * longest
