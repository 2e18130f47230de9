"""Ledger and stream contradict each other: nothing is repaired until a person says which one to trust."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from chronicle_ledger.domain.commands import CaptureHold, PlaceHold, Reverse
from chronicle_ledger.events.dead import letters
from chronicle_ledger.events.stream import STREAM, subject
from chronicle_ledger.proof.reconcile import Contradicted, LedgerDamaged, Trust
from chronicle_ledger.proof.restore_ledger import NotRestored
from support.event_bench import EventBench, failures
from support.forger import rewrite_database
from support.ledger_bench import account_named, command, transfer

ONE, OTHER = account_named("account 1"), account_named("account 2")


async def published(bench: EventBench, count: int) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(count)
        await bench.caught_up()


async def state(bench: EventBench) -> Any:
    stream = (await bench.bus.jetstream().stream_info(STREAM)).state
    rows = await bench.one("SELECT count(*), sum(abs(balance)) FROM account")
    return stream.messages, stream.last_seq, tuple(rows)


async def balance(bench: EventBench) -> tuple[int, int]:
    found = await bench.one("SELECT balance, version FROM account WHERE id = %s", ONE)
    return found[0], found[1]


async def test_a_ledger_rewritten_with_every_hash_is_never_copied_over_the_stream_unasked(
    any_bench: EventBench,
) -> None:
    await published(any_bench, 40)
    truth = await balance(any_bench)
    victim: UUID = (await any_bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 2", ONE))[0]
    changed = await rewrite_database(any_bench, victim, less=2)
    assert set(failures(await any_bench.prove())) == {"stream", "view"}
    before = await state(any_bench)
    with pytest.raises(Contradicted) as refused:
        await any_bench.reconcile()
    assert str(refused.value).count("which the ledger has otherwise") == min(10, len(changed))
    assert "--trust-ledger or --trust-stream" in str(refused.value)
    assert await state(any_bench) == before
    assert await balance(any_bench) != truth

    done = await any_bench.reconcile(Trust.STREAM)
    assert (done.restored, done.removed) == (len(changed), 0)
    assert await balance(any_bench) == truth
    assert failures(await any_bench.prove()) == {}


async def test_the_ledger_is_copied_over_the_stream_where_it_is_trusted_and_the_evidence_is_kept(
    bench: EventBench,
) -> None:
    await published(bench, 24)
    victim: UUID = (await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 2", ONE))[0]
    changed = await rewrite_database(bench, victim, less=2)
    done = await bench.reconcile(Trust.LEDGER)
    assert (done.published, done.removed, done.restored) == (len(changed), len(changed), 0)
    assert done.letters == len(changed)
    kept = [letter async for letter in letters(bench.bus.jetstream())]
    assert {json.loads(letter.data)["id"] for letter in kept} == {str(id_) for id_ in changed}
    assert failures(await bench.prove()) == {}


async def remove_the_last(bench: EventBench) -> None:
    """Remove a transaction with all its traces in the database."""
    last = (await bench.one("SELECT txn_id FROM entry WHERE account_id = %s ORDER BY version DESC LIMIT 1", ONE))[0]
    async with bench.database.connection() as conn:
        cursor = await conn.execute("SELECT account_id, amount FROM entry WHERE txn_id = %s", (last,))
        touched = await cursor.fetchall()
    await bench.execute("DELETE FROM entry WHERE txn_id = %s", last)
    await bench.execute("DELETE FROM txn WHERE id = %s", last)
    for account, amount in touched:
        await bench.execute(
            "UPDATE account SET balance = balance - %s, version = version - 1, head = (SELECT t.hash FROM entry e"
            " JOIN txn t ON t.id = e.txn_id WHERE e.account_id = %s ORDER BY e.version DESC LIMIT 1), updated_at ="
            " (SELECT e.posted_at FROM entry e WHERE e.account_id = %s ORDER BY e.version DESC LIMIT 1) WHERE id = %s",
            amount, account, account, account,
        )  # fmt: skip


async def damage_rows(bench: EventBench) -> None:
    """Change what a hold's and a reversal's transaction say, and spell another one's metadata otherwise."""
    await bench.execute("UPDATE txn SET metadata = '{ }' WHERE kind = 'reversal'")
    await bench.execute("UPDATE txn SET details = 'nonsense' WHERE kind = 'hold'")
    await bench.execute(
        "UPDATE entry SET amount = amount + 1 WHERE txn_id = (SELECT id FROM txn WHERE kind = 'capture')"
    )


@pytest.mark.parametrize("damage", [remove_the_last, damage_rows], ids=["removed", "damaged"])
async def test_what_the_ledger_lost_is_restored_from_a_trusted_stream(
    any_bench: EventBench, damage: Callable[[EventBench], Awaitable[None]]
) -> None:
    hold = command(PlaceHold, "hold", account_id=account_named("account 3"), amount=10)
    back = transfer("back", account_named("account 3"), OTHER, 3)
    await any_bench.posting.submit(hold)
    await any_bench.posting.submit(command(CaptureHold, "capture", hold_id=hold.id, amount=7))
    await any_bench.posting.submit(back)
    await any_bench.posting.submit(command(Reverse, "reverse", transaction_id=back.id))
    await any_bench.posting.submit(transfer("last", ONE, OTHER, 5))
    await published(any_bench, 0)
    truth = await balance(any_bench)
    await damage(any_bench)
    before = await state(any_bench)
    with pytest.raises((Contradicted, LedgerDamaged), match="--trust-stream"):
        await any_bench.reconcile()
    assert await state(any_bench) == before
    assert (await any_bench.reconcile(Trust.STREAM)).restored in (1, 3)
    assert await balance(any_bench) == truth
    assert failures(await any_bench.prove()) == {}


async def test_a_stream_that_lies_is_not_restored_from(bench: EventBench) -> None:
    await published(bench, 12)
    js = bench.bus.jetstream()
    message = await js.get_msg(STREAM, seq=20)
    forged = {**json.loads(message.data or b""), "metadata": {"note": "never posted"}}
    await js.delete_msg(STREAM, 20)
    await js.publish(subject(0), json.dumps(forged, separators=(",", ":")).encode())
    before, truth = await state(bench), await balance(bench)
    with pytest.raises(NotRestored, match=r"nothing was changed: transaction .* is not what was posted"):
        await bench.reconcile(Trust.STREAM)
    assert await state(bench) == before
    assert await balance(bench) == truth
    await js.publish(
        subject(0), json.dumps({**forged, "metadata": {"note": "nor this"}}, separators=(",", ":")).encode()
    )
    with pytest.raises(NotRestored, match="the stream says two things of transaction"):
        await bench.reconcile(Trust.STREAM)
    assert (await bench.reconcile(Trust.LEDGER)).removed >= 1
    assert failures(await bench.prove()) == {}


async def test_what_the_stream_merely_lacks_is_published_without_a_question(bench: EventBench) -> None:
    await published(bench, 12)
    for sequence in (3, 7):
        await bench.bus.jetstream().delete_msg(STREAM, sequence)
    await bench.bus.jetstream().publish(subject(0), b"nonsense")
    done = await bench.reconcile()
    assert (done.published, done.removed) == (2, 1)
    assert failures(await bench.prove()) == {}
