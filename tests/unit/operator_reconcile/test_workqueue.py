"""One run at a time for a ledger, no change missed, failures retried with growing pauses, a hanging run noticed."""

from __future__ import annotations

import asyncio
import time

from chronicle_operator.kube.errors import Forbidden
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue

KEY = LedgerKey("ns", "main")


async def until(condition: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await condition.wait()


async def test_a_storm_of_changes_during_a_run_makes_one_more_run_and_never_two_at_once() -> None:
    running = 0
    runs = 0
    entered, release, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reconcile(key: LedgerKey) -> None:
        nonlocal running, runs
        running += 1
        runs += 1
        assert running == 1
        entered.set()
        if runs == 1:
            await release.wait()
        else:
            second.set()
        running -= 1

    queue = WorkQueue(reconcile, clock=time.monotonic, settle_seconds=0)
    queue.wake(KEY)
    await until(entered)
    for _ in range(100):
        queue.wake(KEY)
    release.set()
    await until(second)
    for _ in range(10):
        await asyncio.sleep(0)
    assert runs == 2
    assert queue.waiting() == 0
    await queue.close()


async def test_two_ledgers_do_not_wait_for_each_other() -> None:
    other = LedgerKey("ns", "other")
    stuck, reached = asyncio.Event(), asyncio.Event()

    async def reconcile(key: LedgerKey) -> None:
        if key == KEY:
            await stuck.wait()
        reached.set()

    queue = WorkQueue(reconcile, clock=time.monotonic, settle_seconds=0)
    queue.wake(KEY)
    queue.wake(other)
    await until(reached)
    await queue.close()


async def test_a_failure_is_reported_and_tried_again() -> None:
    attempts: list[str] = []
    done = asyncio.Event()

    async def reconcile(key: LedgerKey) -> None:
        if len(attempts) < 2:
            raise Forbidden("patch Secret x", "no", retry_after=0.01)
        done.set()

    queue = WorkQueue(
        reconcile,
        clock=time.monotonic,
        settle_seconds=0,
        on_failure=lambda _, error: attempts.append(type(error).__name__),
    )
    queue.wake(KEY)
    await until(done)
    assert attempts == ["Forbidden", "Forbidden"]
    await queue.close()


async def test_a_run_that_asks_for_it_is_repeated_without_being_woken() -> None:
    runs = 0
    third = asyncio.Event()

    async def reconcile(key: LedgerKey) -> float:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()
        return 0.01

    queue = WorkQueue(reconcile, clock=time.monotonic, settle_seconds=0)
    queue.wake(KEY)
    await until(third)
    await queue.close()


async def test_a_hanging_run_shows_in_its_age_and_is_cut_off_at_the_limit() -> None:
    now = 0.0
    entered, failed = asyncio.Event(), asyncio.Event()

    async def reconcile(key: LedgerKey) -> None:
        entered.set()
        await asyncio.Event().wait()

    queue = WorkQueue(
        reconcile,
        clock=lambda: now,
        settle_seconds=0,
        run_limit_seconds=0.05,
        on_failure=lambda *_: failed.set(),
    )
    queue.wake(KEY)
    await until(entered)
    now = 90.0
    assert queue.longest_run() == 90.0
    await until(failed)
    assert queue.longest_run() == 0.0
    await queue.close()


async def test_a_forgotten_ledger_is_served_no_more_and_can_come_back() -> None:
    runs = 0
    ran = asyncio.Event()

    async def reconcile(key: LedgerKey) -> None:
        nonlocal runs
        runs += 1
        ran.set()

    queue = WorkQueue(reconcile, clock=time.monotonic, settle_seconds=0)
    queue.wake(KEY)
    await until(ran)
    queue.forget(KEY)
    assert queue.keys() == []
    ran.clear()
    queue.wake(KEY)
    await until(ran)
    assert runs == 2
    await queue.close()
