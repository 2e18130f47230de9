"""Each guarantee, turned off, really fails: the audit and the counts that the other tests rely on can see it."""

from __future__ import annotations

import asyncio

import pytest

from chronicle_contract.sabotage import PERMISSION, PERMISSION_VALUE, VARIABLE
from chronicle_ledger.domain.audit import audit
from chronicle_ledger.posting.service import Posted
from chronicle_ledger.sabotage import Sabotage, SabotageRefused, active
from chronicle_ledger.store import reads
from chronicle_ledger.store.sabotaged import drop_floor_check
from support.ledger_bench import Bench, account_named, codes, deposit, withdrawal

A = account_named("a")


async def test_without_idempotency_a_retry_posts_again(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(sabotage=Sabotage.IDEMPOTENCY)
    await postgres_bench.open(service, "a")
    await service.submit(deposit("k", A, 5))
    await service.submit(deposit("k", A, 5))
    assert (await reads.get_account(postgres_bench.database, A)).balance == 10


async def test_without_the_version_check_updates_are_lost_and_the_audit_sees_it(bench: Bench) -> None:
    replicas = [await bench.service(sabotage=Sabotage.VERSION_CHECK) for _ in range(3)]
    await bench.open(replicas[0], "a")
    await replicas[0].submit(deposit("fund", A, 1000))
    for round_ in range(20):
        await asyncio.gather(*[replicas[i].submit(withdrawal(f"w{round_}-{i}", A, 1), deadline=30) for i in range(3)])
        if audit(*await bench.books()):
            return
    pytest.fail("sixty unguarded writes from three replicas lost no update")


async def test_with_the_outbox_outside_the_transaction_every_twentieth_event_is_lost(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(sabotage=Sabotage.OUTBOX_TRANSACTION)
    await postgres_bench.open(service, "a")
    await service.submit_many([deposit(f"d{i}", A, 1) for i in range(60)], atomic=False)
    with pytest.raises(AssertionError):
        await postgres_bench.assert_sound()


async def test_without_the_floor_an_account_goes_under_it(bench: Bench) -> None:
    await drop_floor_check(bench.urls[0])
    service = await bench.service(sabotage=Sabotage.BALANCE_FLOOR)
    await bench.open(service, "a")
    assert codes(await service.submit_many([withdrawal("w", A, 5)], atomic=False)) == {"posted": 1}
    assert {fault.rule for fault in audit(*await bench.books())} == {"floor"}


async def test_without_rejection_a_write_is_accepted_that_no_database_has(postgres_bench: Bench) -> None:
    service = await postgres_bench.service(
        "postgresql://nobody@127.0.0.1:9/none", sabotage=Sabotage.MINORITY_REJECTION, statement_timeout=0.2
    )
    posted = await service.submit(deposit("d", A, 5), deadline=3)
    assert isinstance(posted, Posted)
    assert not posted.replayed


def test_sabotage_needs_a_known_name_and_a_second_word() -> None:
    assert active({}) is None
    with pytest.raises(SabotageRefused, match="unknown"):
        active({VARIABLE: "gremlins", PERMISSION: PERMISSION_VALUE})
    with pytest.raises(SabotageRefused, match=PERMISSION):
        active({VARIABLE: "idempotency", PERMISSION: "yes"})
    assert active({VARIABLE: "idempotency", PERMISSION: PERMISSION_VALUE}) is Sabotage.IDEMPOTENCY
