"""The posting engine on real databases: exactly once, never under a floor, alike on every replica."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import timedelta
from typing import Any

import pytest

from chronicle_ledger.domain.account import AccountStatus
from chronicle_ledger.domain.audit import audit
from chronicle_ledger.domain.commands import CaptureHold, OpenAccount, PlaceHold, ReleaseHold, Reverse, UpdateAccount
from chronicle_ledger.domain.errors import (
    AlreadyReversed,
    HoldNotPending,
    IdempotencyKeyReused,
    InsufficientFunds,
    LedgerError,
    RequestInProgress,
    VersionConflict,
)
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import HoldState
from chronicle_ledger.posting.expiry import HoldExpiry
from chronicle_ledger.posting.service import Posted, PostingLimits
from chronicle_ledger.store import reads
from support.ledger_bench import Bench, account_named, codes, command, deposit, transfer, withdrawal

A, B, CELL = account_named("a"), account_named("b"), account_named("c")


async def test_a_hundred_concurrent_withdrawals_of_10_on_100_give_ten_and_ninety(bench: Bench) -> None:
    replicas = [await bench.service() for _ in range(3)]
    await bench.open(replicas[0], "a")
    await replicas[0].submit(deposit("fund", A, 100))
    answers = await asyncio.gather(
        *[replicas[i % 3].submit(withdrawal(f"w{i}", A, 10), deadline=30) for i in range(100)], return_exceptions=True
    )
    assert all(isinstance(answer, Posted | InsufficientFunds) for answer in answers), answers
    assert sum(isinstance(answer, Posted) for answer in answers) == 10
    assert (await reads.get_account(bench.database, A)).balance == 0
    await bench.assert_sound()


async def test_two_hundred_concurrent_requests_with_one_key_post_once_and_are_answered_alike(bench: Bench) -> None:
    replicas = [await bench.service() for _ in range(2)]
    await bench.open(replicas[0], "a")
    answers = await asyncio.gather(*[replicas[i % 2].submit(deposit("same", A, 7), deadline=30) for i in range(200)])
    assert len({answer.transaction.hash for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert (await reads.get_account(bench.database, A)).balance == 7
    await bench.assert_sound()


async def test_a_key_with_another_request_is_refused_and_posts_nothing(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    results = await service.submit_many([deposit("k", A, 7), deposit("k", A, 8)], atomic=False)
    assert codes(results) == {"posted": 1, "idempotency_key_reused": 1}
    with pytest.raises(IdempotencyKeyReused):
        await (await bench.service()).submit(deposit("k", A, 9))
    assert (await reads.get_account(bench.database, A)).balance == 7


async def test_a_refused_request_stores_nothing_so_its_key_may_succeed_later(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    with pytest.raises(InsufficientFunds):
        await service.submit(withdrawal("w", A, 5))
    await service.submit(deposit("d", A, 5))
    assert not (await service.submit(withdrawal("w", A, 5))).replayed
    await bench.assert_sound()


async def test_random_requests_duplicated_reordered_and_retried_on_several_replicas_match_a_model(bench: Bench) -> None:
    seed = 20260131
    rng = random.Random(seed)
    replicas = [await bench.service(limits=PostingLimits(max_batch=16)) for _ in range(3)]
    names = [f"n{i}" for i in range(8)]
    await bench.open(replicas[0], *names)
    for name in names:
        await replicas[0].submit(deposit(f"fund {name}", account_named(name), 200))
    requests = []
    for i in range(150):
        source, destination = rng.sample(names, 2)
        request = transfer(f"t{i}", account_named(source), account_named(destination), rng.randint(1, 120))
        requests += [request] * rng.randint(1, 3)
    rng.shuffle(requests)

    async def send(index: int, request: Any) -> Posted | LedgerError:
        try:
            return await replicas[index % 3].submit(request, deadline=60)
        except LedgerError as error:
            return error

    answers = await asyncio.gather(*[send(i, request) for i, request in enumerate(requests)])
    assert set(codes(answers)) <= {"posted", "replayed", "insufficient_funds"}, codes(answers)
    stored = {t.id: t for t in await bench.assert_sound()}
    balances = dict.fromkeys((account_named(name) for name in names), 200)
    acknowledged = set()
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, Posted):
            assert answer.transaction.id == request.id
            assert stored[request.id].hash == answer.transaction.hash
            if request.id not in acknowledged:
                acknowledged.add(request.id)
                for leg in request.legs:
                    balances[leg.account_id] += leg.amount
    assert {t for t in stored if t in {r.id for r in requests}} == acknowledged
    accounts, _ = await bench.books()
    assert {id_: accounts[id_].balance for id_ in balances} == balances


async def test_an_atomic_batch_is_posted_whole_or_not_at_all(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a", "b")
    await service.submit(deposit("fund", A, 10))
    refused = await service.submit_many([transfer("1", A, B, 4), transfer("2", A, B, 7)], atomic=True)
    assert codes(refused) == {"batch_aborted": 1, "insufficient_funds": 1}
    posted = await service.submit_many([transfer("1", A, B, 4), transfer("2", B, A, 3)], atomic=True)
    assert codes(posted) == {"posted": 2}
    again = await service.submit_many([transfer("1", A, B, 4), transfer("2", B, A, 3)], atomic=True)
    assert codes(again) == {"replayed": 2}
    assert (await reads.get_account(bench.database, A)).balance == 9
    await bench.assert_sound()


async def test_a_bad_command_never_fails_its_neighbours(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a", "b")
    await service.submit(deposit("fund", A, 100))
    # The database refuses this text, which the domain has no opinion on; the batch has to be split to find it.
    poisoned = command(OpenAccount, "bad", account_id=CELL, currency="\x00")
    commands = [transfer(f"t{i}", A, B, 1) for i in range(10)]
    results = await service.submit_many([*commands[:5], poisoned, *commands[5:]], atomic=False)
    assert codes(results) == {"posted": 10, "internal_error": 1}
    assert (await reads.get_account(bench.database, B)).balance == 10


async def test_a_hold_is_captured_in_part_and_the_rest_is_available_again(bench: Bench) -> None:
    service = await bench.service()
    other = await bench.service()
    await bench.open(service, "a", "b")
    await service.submit(deposit("fund", A, 100))
    hold = (await service.submit(command(PlaceHold, "h", account_id=A, amount=80, destination_id=B))).hold
    assert hold is not None
    with pytest.raises(InsufficientFunds):
        await service.submit(withdrawal("w", A, 21))
    captured = await other.submit(command(CaptureHold, "c", hold_id=hold.id, amount=30))
    assert captured.hold is not None
    assert (captured.hold.state, captured.hold.captured) == (HoldState.CAPTURED, 30)
    account = await reads.get_account(bench.database, A)
    assert (account.balance, account.held) == (70, 0)
    assert (await reads.get_account(bench.database, B)).balance == 30
    with pytest.raises(HoldNotPending):
        await other.submit(command(ReleaseHold, "r", hold_id=hold.id))
    assert (await other.submit(command(CaptureHold, "c", hold_id=hold.id, amount=30))).replayed
    await bench.assert_sound()


async def test_expired_holds_are_ended_once_by_several_sweepers(bench: Bench) -> None:
    replicas = [await bench.service() for _ in range(2)]
    await bench.open(replicas[0], "a")
    await replicas[0].submit(deposit("fund", A, 100))
    for i in range(5):
        await replicas[0].submit(command(PlaceHold, f"h{i}", account_id=A, amount=10, lasts=timedelta(microseconds=1)))
    await asyncio.gather(*[HoldExpiry(replica, bench.database).sweep() for replica in replicas])
    account = await reads.get_account(bench.database, A)
    assert (account.balance, account.held) == (100, 0)
    expiries = [t for t in await bench.assert_sound() if t.kind.value == "expiry"]
    assert [t.posted_by for t in expiries] == ["chronicle"] * 5


async def test_a_transaction_is_reversed_once_whatever_the_replica(bench: Bench) -> None:
    replicas = [await bench.service() for _ in range(3)]
    await bench.open(replicas[0], "a", "b")
    await replicas[0].submit(deposit("fund", A, 100))
    posted = await replicas[0].submit(transfer("t", A, B, 60))
    answers = await asyncio.gather(
        *[
            replicas[i % 3].submit(command(Reverse, f"r{i}", transaction_id=posted.transaction.id), deadline=30)
            for i in range(9)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Posted) for answer in answers) == 1
    assert sum(isinstance(answer, AlreadyReversed) for answer in answers) == 8
    assert (await reads.get_account(bench.database, A)).balance == 100
    await bench.assert_sound()


async def test_an_expected_version_admits_one_of_many(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    version = (await reads.get_account(bench.database, A)).version
    results = await service.submit_many(
        [deposit(f"d{i}", A, 1, expected_versions={A: version}) for i in range(10)], atomic=False
    )
    assert codes(results) == {"posted": 1, "version_conflict": 9}
    conflict = next(r for r in results if isinstance(r, VersionConflict))
    assert conflict.figures["version"] == version + 1


async def test_lowering_a_floor_and_using_it_may_meet_in_one_batch(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    results = await service.submit_many(
        [command(UpdateAccount, "u", account_id=A, floor=-50), withdrawal("w", A, 50)], atomic=False
    )
    assert codes(results) == {"posted": 2}
    frozen = await service.submit(command(UpdateAccount, "f", account_id=A, status=AccountStatus.FROZEN))
    assert frozen.transaction.details["status"] == "frozen"
    assert codes(await service.submit_many([deposit("d", A, 1)], atomic=False)) == {"account_frozen": 1}
    await bench.assert_sound()


async def test_what_is_read_back_is_hashed_and_published_as_it_was_posted(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    odd = {"é": "\u0000\ud800 \\ \" ' {}", "float": 1e22, "small": 1.0, "nested": {"b": [None, True], "a": -0.0}}
    posted = await service.submit(deposit("d", A, 1, metadata=odd))
    stored = await reads.get_transaction(bench.database, posted.transaction.id)
    assert stored.metadata == odd
    assert payload_of(stored) == payload_of(posted.transaction)
    async with bench.database.connection() as connection:
        cursor = await connection.execute("SELECT payload FROM outbox WHERE id = %s", [stored.id])
        assert await cursor.fetchone() == (payload_of(stored),)
    await bench.assert_sound()


async def test_a_preview_answers_like_a_posting_and_writes_nothing(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    preview = await service.preview(deposit("d", A, 9))
    assert [e.balance_after for e in preview.transaction.entries if e.account_id == A] == [9]
    assert (await reads.get_account(bench.database, A)).balance == 0
    with pytest.raises(InsufficientFunds):
        await service.preview(withdrawal("w", A, 9))
    assert len(await bench.assert_sound()) == 1


async def test_a_preview_of_many_sees_what_those_before_would_do_and_writes_nothing(bench: Bench) -> None:
    opener = await bench.service()
    names = [f"a{number}" for number in range(20)]
    await bench.open(opener, *names)
    accounts = [account_named(name) for name in names]
    funded = [deposit(f"d {number}", account, 9) for number, account in enumerate(accounts)]
    moved = [transfer(f"t {number}", a, b, 9) for number, (a, b) in enumerate(itertools.pairwise(accounts))]
    for atomic in (True, False):
        # A service that knows nothing yet of these accounts, nor which of the outside world face them.
        service = await bench.service()
        results = await service.preview_many([*funded, *moved], atomic=atomic)
        assert codes(results) == {"posted": 39}
        refused = await service.preview_many([*funded, withdrawal("w", accounts[0], 10)], atomic=atomic)
        assert codes(refused) == {"batch_aborted" if atomic else "posted": 20, "insufficient_funds": 1}
    assert len(await bench.assert_sound()) == len(names)


async def test_an_atomic_batch_of_deposits_to_many_unknown_accounts_is_posted(bench: Bench) -> None:
    names = [f"a{number}" for number in range(20)]
    await bench.open(await bench.service(), *names)
    fresh = await bench.service()
    deposits = [deposit(f"d {name}", account_named(name), 9) for name in names]
    assert codes(await fresh.submit_many(deposits, atomic=True)) == {"posted": 20}
    await bench.assert_sound()


async def test_tampering_with_a_posted_row_is_found_and_located(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a", "b")
    await service.submit(deposit("fund", A, 100))
    posted = await service.submit(transfer("t", A, B, 10))
    await service.submit(transfer("u", A, B, 10))
    changes = [
        ("txn SET metadata = '{\"x\":1}' WHERE id = %s", "txn SET metadata = '{}' WHERE id = %s"),
        ("entry SET amount = amount + 1 WHERE txn_id = %s", "entry SET amount = amount - 1 WHERE txn_id = %s"),
        ("txn SET kind = 'journal' WHERE id = %s", "txn SET kind = 'transfer' WHERE id = %s"),
    ]
    tampering = [(f"UPDATE {change}", f"UPDATE {back}") for change, back in changes]
    for tamper, undo in tampering:
        async with bench.database.connection() as connection:
            await connection.execute(tamper.encode(), [posted.transaction.id])
        faults = audit(*await bench.books())
        assert any(f.rule == "chain" and str(posted.transaction.id) in f.message for f in faults), tamper
        async with bench.database.connection() as connection:
            await connection.execute(undo.encode(), [posted.transaction.id])
        assert audit(*await bench.books()) == []
    async with bench.database.connection() as connection:
        await connection.execute("DELETE FROM entry WHERE txn_id = %s", [posted.transaction.id])
        await connection.execute("DELETE FROM txn WHERE id = %s", [posted.transaction.id])
    assert {f.rule for f in audit(*await bench.books())} >= {"dense", "chain"}


async def test_a_duplicate_of_a_request_that_does_not_end_is_told_so_at_its_deadline(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(limits=PostingLimits(deadline=5))
    await postgres_bench.open(service, "a")
    async with postgres_bench.database.connection() as blocker, blocker.transaction():
        await blocker.execute("SELECT id FROM account FOR UPDATE")
        first = asyncio.create_task(service.submit(deposit("d", A, 1)))
        await asyncio.sleep(0)
        with pytest.raises(RequestInProgress):
            await service.submit(deposit("d", A, 1), deadline=0.3)
    assert not (await first).replayed
    await postgres_bench.assert_sound()


async def test_another_request_under_the_key_of_one_that_does_not_end_is_told_so_at_its_deadline(
    postgres_bench: Bench,
) -> None:
    service = await postgres_bench.service(limits=PostingLimits(deadline=8), statement_timeout=6)
    await postgres_bench.open(service, "a")
    async with postgres_bench.database.connection() as blocker, blocker.transaction():
        await blocker.execute("SELECT id FROM account FOR UPDATE")
        first = asyncio.create_task(service.submit(deposit("d", A, 1)))
        await asyncio.sleep(0)
        with pytest.raises(RequestInProgress):
            # The time-out around it is for an engine that asks again and again until the first has ended.
            await asyncio.wait_for(service.submit(deposit("d", A, 2), deadline=0.3), timeout=4)
        assert not first.done()
    assert not (await first).replayed
    assert (await reads.get_account(postgres_bench.database, A)).balance == 1
    await postgres_bench.assert_sound()


async def test_only_the_hold_that_would_leave_64_bits_is_refused(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a", floor=None)
    holds = [command(PlaceHold, f"h{i}", account_id=A, amount=2**53 - 1) for i in range(1025)]
    results = await service.submit_many(holds, atomic=False, deadline=30)
    assert codes(results) == {"posted": 1024, "balance_out_of_range": 1}
    assert (await reads.get_standing(bench.database, A)).available == -1024 * (2**53 - 1)


async def test_no_number_of_deposits_drives_an_outside_account_beyond_its_limit(bench: Bench) -> None:
    service = await bench.service()
    names = ["a", "b", "c"]
    await bench.open(service, *names)
    for name in names:
        deposits = [deposit(f"{name} {i}", account_named(name), 2**53 - 1) for i in range(513)]
        results = await service.submit_many(deposits, atomic=False, deadline=30)
        assert codes(results) == {"posted": 512, "balance_out_of_range": 1}
    accounts, _ = await bench.books()
    assert max(abs(account.balance) for account in accounts.values()) <= 2**62
    await bench.assert_sound()
