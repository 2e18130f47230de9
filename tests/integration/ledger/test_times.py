"""Time: whose clock counts, what a balance of the past may still become, and holds that are over."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from chronicle_ledger.domain.account import AccountStatus
from chronicle_ledger.domain.commands import CaptureHold, PlaceHold, UpdateAccount
from chronicle_ledger.domain.errors import ClocksDisagree, InsufficientFunds, MomentTooRecent
from chronicle_ledger.posting.clocks import Clocks, utc_now
from chronicle_ledger.posting.expiry import HoldExpiry
from chronicle_ledger.posting.service import PostingLimits, PostingService
from chronicle_ledger.store import reads
from chronicle_ledger.store.pool import Connection
from chronicle_ledger.store.write import write_and_commit
from support.ledger_bench import Bench, account_named, codes, command, deposit, withdrawal

A, B = account_named("a"), account_named("b")


async def test_a_replica_whose_clock_is_wrong_posts_nothing(bench: Bench) -> None:
    right = await bench.service()
    await bench.open(right, "a")
    for days in (2, -2):
        wrong = await bench.service(clocks=Clocks(own=lambda days=days: utc_now() + timedelta(days)))  # type: ignore[misc]
        with pytest.raises(ClocksDisagree):
            await wrong.submit(deposit("d", A, 5))
        with pytest.raises(ClocksDisagree):
            await wrong.preview(deposit("d", A, 5))
    posted = await right.submit(deposit("d", A, 5))
    assert not posted.replayed
    assert abs((posted.transaction.posted_at - await reads.moment(bench.database)).total_seconds()) < 2


async def test_a_hold_ends_by_the_databases_time_whatever_the_replicas_clock(bench: Bench) -> None:
    behind = await bench.service(clocks=Clocks(own=lambda: utc_now() - timedelta(minutes=10), tolerance=3600))
    await bench.open(behind, "a")
    await behind.submit(deposit("fund", A, 100))
    hold = await behind.submit(command(PlaceHold, "h", account_id=A, amount=10, lasts=timedelta(seconds=60)))
    assert hold.hold is not None
    assert hold.hold.expires_at == hold.transaction.posted_at + timedelta(seconds=60)
    assert await HoldExpiry(behind, bench.database).sweep() == 0
    await behind.submit(command(CaptureHold, "c", hold_id=hold.transaction.id))


async def _over(service: PostingService, count: int) -> None:
    """Hold all of A's money in `count` holds that are over at once."""
    await service.submit(deposit("fund", A, count))
    holds = [command(PlaceHold, f"h{i}", account_id=A, amount=1, lasts=timedelta(microseconds=1)) for i in range(count)]
    assert codes(await service.submit_many(holds, atomic=False, deadline=30)) == {"posted": count}


async def test_what_ended_holds_set_aside_is_available_at_once(bench: Bench) -> None:
    service = await bench.service(limits=PostingLimits(deadline=30))
    await bench.open(service, "a", "b")
    await _over(service, 1200)
    standing = await reads.get_standing(bench.database, A)
    assert (standing.account.available, standing.over, standing.available) == (0, 1200, 1200)
    items = (await reads.list_accounts(bench.database)).items
    [listed] = [item for item in items if isinstance(item, reads.Standing) and item.account.id == A]
    assert listed.available == 1200
    assert not (await service.preview(withdrawal("w", A, 1200))).replayed
    await service.submit(withdrawal("w", A, 1200))
    with pytest.raises(InsufficientFunds) as refused:
        await service.submit(withdrawal("more", A, 1))
    assert refused.value.figures["available"] == 0
    standing = await reads.get_standing(bench.database, A)
    assert (standing.account.held, standing.over, standing.available) == (0, 0, 0)
    expiries = [t for t in await bench.assert_sound() if t.kind.value == "expiry"]
    assert (len(expiries), {t.posted_by for t in expiries}) == (1200, {"chronicle"})


async def test_one_sweep_ends_all_that_is_over(bench: Bench) -> None:
    service = await bench.service(limits=PostingLimits(deadline=30))
    await bench.open(service, "a")
    await _over(service, 1100)
    await service.submit(command(PlaceHold, "stays", account_id=A, amount=1, lasts=timedelta(hours=1)))
    assert await HoldExpiry(service, bench.database).sweep() > 0
    account = await reads.get_account(bench.database, A)
    assert (account.balance, account.held) == (1100, 1)
    await bench.assert_sound()


async def test_a_frozen_account_and_one_to_be_closed_lose_their_ended_holds(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a", floor=None)
    await service.submit(command(PlaceHold, "h", account_id=A, amount=5, lasts=timedelta(microseconds=1)))
    await service.submit(command(UpdateAccount, "freeze", account_id=A, status=AccountStatus.FROZEN))
    closed = await service.submit(command(UpdateAccount, "close", account_id=A, status=AccountStatus.CLOSED))
    assert closed.transaction.details["status"] == "closed"
    await bench.assert_sound()


async def test_a_batch_that_was_evaluated_too_long_ago_is_evaluated_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    written = []

    async def late(connection: Connection, outcomes: Any, before: Any, evaluated: datetime) -> None:
        written.append(evaluated)
        if len(written) == 1:
            await asyncio.sleep(0.3)
        await write_and_commit(connection, outcomes, before, evaluated, timedelta(seconds=0.2))

    monkeypatch.setattr("chronicle_ledger.posting.batch.write_and_commit", late)
    posted = await service.submit(deposit("d", A, 5))
    assert len(written) == 2
    assert posted.transaction.posted_at == written[1] >= written[0] + timedelta(seconds=0.3)
    await bench.assert_sound()


async def test_a_balance_of_the_past_that_was_answered_never_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_ = random.Random(7)
    longest, final_after = timedelta(seconds=0.25), timedelta(seconds=0.3)

    async def slow(connection: Connection, outcomes: Any, before: Any, evaluated: datetime) -> None:
        await asyncio.sleep(random_.choice([0, 0.02, 0.2, 0.26]))
        await write_and_commit(connection, outcomes, before, evaluated, longest)

    monkeypatch.setattr("chronicle_ledger.posting.batch.write_and_commit", slow)
    replicas = [await bench.service(limits=PostingLimits(deadline=30)) for _ in range(3)]
    await bench.open(replicas[0], "a", "b")
    answered: dict[tuple[Any, datetime], int] = {}
    refused = 0
    done = asyncio.Event()

    async def version_at(account: Any, at: datetime) -> int:
        found = await reads.balance_at(bench.database, account, at, final_after)
        return 0 if found is None else found.entry.version

    async def read() -> None:
        nonlocal refused
        while not done.is_set():
            at = await reads.moment(bench.database) - random_.choice([0, 0.8, 1, 1.5]) * final_after
            account = random_.choice([A, B])
            try:
                answered[account, at] = await version_at(account, at)
            except MomentTooRecent as error:
                refused += 1
                latest = datetime.fromisoformat(error.figures["latest"])
                assert latest < at
                answered[account, latest] = await version_at(account, latest)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    for number in range(24):
        await replicas[number % 3].submit(deposit(f"d{number}", (A, B)[number % 2], 1))
    done.set()
    await asyncio.gather(*readers)
    assert refused
    assert len(answered) > 20
    for (account, at), version in answered.items():
        assert await version_at(account, at) == version
    assert await version_at(A, utc_now() - timedelta(days=1)) == 0
    with pytest.raises(MomentTooRecent):
        await version_at(A, utc_now() + timedelta(days=1))


async def test_a_balance_of_the_past_waits_for_a_commit_that_is_on_its_way(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    at = await reads.moment(bench.database)
    async with bench.database.connection() as connection:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM account WHERE id = %s FOR UPDATE", [A])
            asked = asyncio.create_task(reads.balance_at(bench.database, A, at, timedelta(0)))
            done, _ = await asyncio.wait({asked}, timeout=0.3)
            assert not done
        assert await asked is not None
