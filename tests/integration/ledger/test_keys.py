"""Whose an idempotency key is, and that a retry meets its first attempt across the upgrade that decided it anew."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

from chronicle_ledger.domain.commands import (
    Command,
    Leg,
    OpenAccount,
    PostEntries,
    fingerprint,
    shared_transaction_id,
    transaction_id,
)
from chronicle_ledger.domain.errors import IdempotencyKeyReused
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.store import reads
from support.ledger_bench import Bench, account_named

A = account_named("a")


def asked(cls: type[Command], key: str, subject: str = "one", **fields: Any) -> Command:
    """A command as this version makes it from a request."""
    return cls(
        id=transaction_id("t", subject, "POST", "/", key),
        former_id=shared_transaction_id("t", "POST", "/", key),
        fingerprint=fingerprint(repr(fields).encode()),
        posted_by=subject,
        **fields,
    )


def paid(key: str, subject: str = "one", amount: int = 5) -> Command:
    return asked(PostEntries, key, subject, kind=TransactionKind.DEPOSIT, legs=(Leg(A, amount),))


def formerly(command: Command) -> Command:
    """The same request as the version before made it."""
    assert command.former_id is not None
    return replace(command, id=command.former_id, former_id=None, posted_by=None)  # type: ignore[arg-type]


async def upgraded(bench: Bench, *, minutes_ago: int) -> None:
    """The ledger is a day old, and was upgraded so many minutes ago."""
    async with bench.database.connection() as connection:
        await connection.execute(
            "UPDATE schema_migration SET applied_at = now() - INTERVAL '1 day' WHERE name <> 'subjects'"
        )
        await connection.execute(
            "UPDATE schema_migration SET applied_at = now() - %s * INTERVAL '1 minute' WHERE name = 'subjects'",
            [minutes_ago],
        )


async def test_the_same_key_of_two_callers_is_two_requests(bench: Bench) -> None:
    service = await bench.service()
    await bench.open(service, "a")
    first = await service.submit(paid("1", "one"))
    other = await service.submit(paid("1", "other"))
    assert (first.replayed, other.replayed) == (False, False)
    assert first.transaction.id != other.transaction.id
    assert (await service.submit(paid("1", "other"))).transaction.id == other.transaction.id
    assert (await reads.get_account(bench.database, A)).balance == 10
    assert not service.former_keys, "this ledger never had shared keys, so none are looked for"


async def test_a_key_that_was_used_before_the_upgrade_is_met_by_its_retry(bench: Bench) -> None:
    await bench.open(await bench.service(), "a")
    await upgraded(bench, minutes_ago=600)
    service = await bench.service()
    old = await service.submit(formerly(paid("1")))
    assert old.transaction.posted_by is None
    retry = await service.submit(paid("1"))
    assert (retry.replayed, retry.transaction.id) == (True, old.transaction.id)
    assert (await service.preview(paid("1"))).replayed
    with pytest.raises(IdempotencyKeyReused):
        await service.submit(paid("1", amount=6))
    fresh = await service.submit(paid("2"))
    assert fresh.transaction.id == paid("2").id
    assert (await reads.get_account(bench.database, A)).balance == 10
    await bench.assert_sound()


async def test_while_replicas_of_the_former_version_may_live_they_meet_what_this_one_posted(bench: Bench) -> None:
    await bench.open(await bench.service(), "a")
    await upgraded(bench, minutes_ago=5)
    service = await bench.service()
    posted = await service.submit(paid("1"))
    assert posted.transaction.id == paid("1").former_id
    former = await service.submit(formerly(paid("1")))
    assert (former.replayed, former.transaction.id) == (True, posted.transaction.id)
    assert (await service.submit(paid("1"))).replayed
    other = await service.submit(paid("1", "other"))
    assert (other.replayed, other.transaction.id) == (False, paid("1", "other").id)
    assert (await reads.get_account(bench.database, A)).balance == 10


async def test_one_request_at_replicas_on_either_side_of_the_change_is_posted_once(bench: Bench) -> None:
    await bench.open(await bench.service(), "a")
    await upgraded(bench, minutes_ago=5)
    before = await bench.service()
    await before.submit(paid("learns"))
    await upgraded(bench, minutes_ago=600)
    after = await bench.service()
    commands = [paid(f"k{i}") for i in range(15)]
    commands += [
        asked(OpenAccount, f"o{i}", account_id=uuid.uuid4(), currency=f"N{i:02}" if i % 2 else "EUR") for i in range(14)
    ]
    # Each replica makes an id of its own for the account, as it follows from the transaction's.
    again = [replace(c, account_id=uuid.uuid4()) if isinstance(c, OpenAccount) else c for c in commands]
    for one, other in zip(commands, again, strict=True):
        results = await asyncio.gather(
            before.submit(one, deadline=30), after.submit(other, deadline=30), return_exceptions=True
        )
        replayed = {result.replayed for result in results if not isinstance(result, BaseException)}
        assert replayed == {False, True}, (one, results)
    assert (await reads.get_account(bench.database, A)).balance == 5 + 15 * 5
    await bench.assert_sound()
