"""Which work shares a batch: order per account is kept, disjoint work runs side by side, a hot account coalesces."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_ledger.domain.commands import Command
from chronicle_ledger.posting.dispatcher import Dispatcher
from chronicle_ledger.posting.work import Work

IDS = [uuid.UUID(int=i) for i in range(6)]


def work(*accounts: int, deadline: float = 10.0) -> Work:
    """A command on accounts."""
    return Work((Command(id=uuid.uuid4(), fingerprint=b""),), {IDS[i] for i in accounts}, deadline)


def test_work_on_a_hot_account_gathers_into_the_next_batch() -> None:
    dispatcher = Dispatcher(max_batch=100, max_queue=100)
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
    dispatcher = Dispatcher(max_batch=100, max_queue=100)
    first, blocked, follower, free = work(0), work(0, 1), work(1), work(2)
    dispatcher.offer(first)
    dispatcher.take()
    for item in (blocked, follower, free):
        dispatcher.offer(item)
    assert dispatcher.take() == [free]
    dispatcher.release([first], first.accounts)
    assert dispatcher.take() == [blocked, follower]


def test_a_full_queue_refuses_but_one_large_work_fits_an_empty_one() -> None:
    dispatcher = Dispatcher(max_batch=2, max_queue=3)
    large = Work(tuple(Command(id=uuid.uuid4(), fingerprint=b"") for _ in range(5)), {IDS[0]}, 1.0)
    assert dispatcher.offer(large)
    assert not dispatcher.offer(work(1))
    assert dispatcher.take() == [large]
    assert dispatcher.offer(work(1))


def test_batches_halve_when_the_database_is_too_slow_and_grow_back() -> None:
    dispatcher = Dispatcher(max_batch=20, max_queue=100)
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
    dispatcher = Dispatcher(max_batch=2, max_queue=10)
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
    dispatcher = Dispatcher(max_batch=size, max_queue=1000)
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
