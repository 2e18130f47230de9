"""The projector: each entry once, whatever comes, in whatever order; what cannot be used is put aside."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from nats.aio.msg import Msg

from chronicle_ledger import metrics
from chronicle_ledger.domain.errors import SchemaMissing
from chronicle_ledger.events.dead import letters
from chronicle_ledger.events.delivery import deliver
from chronicle_ledger.events.projector import Projector
from chronicle_ledger.events.replay import replay
from chronicle_ledger.events.stream import STREAM, ensure_all, subject
from chronicle_ledger.events.view_writer import ViewWriter
from chronicle_ledger.proof.reconcile import Trust
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store import leases
from support.event_bench import EventBench, failures, until
from support.ledger_bench import account_named


class DiesBeforeAcknowledging(Projector):
    """A projector that is killed at the worst moment: the view is committed, the messages are not acknowledged."""

    async def project(self, messages: Sequence[Msg]) -> None:
        await super().project([_unacknowledgeable(message) for message in messages])
        raise asyncio.CancelledError


def _unacknowledgeable(message: Msg) -> Msg:
    copy = Msg(
        _client=message._client, subject=message.subject, reply=message.reply, data=message.data,
        headers=message.headers,
    )  # fmt: skip
    copy.ack = _nothing  # type: ignore[method-assign]
    return copy


async def _nothing() -> None:
    return None


async def test_a_projector_killed_between_applying_and_acknowledging_applies_nothing_twice(bench: EventBench) -> None:
    async with bench.running(bench.relay()):
        await bench.post(100)
        async with bench.running(bench.projector(kind=DiesBeforeAcknowledging)) as task:
            await asyncio.wait({task})
        assert (await bench.one("SELECT count(*) FROM statement_view"))[0] > 0
        async with bench.running(bench.projector()):
            await bench.caught_up()
            await until(bench.acknowledged, "what was delivered before has come again and is acknowledged")
            proof = await bench.prove()
    assert failures(proof) == {}
    assert (await bench.one("SELECT skipped FROM projection"))[0] > 0, "messages did come a second time"


async def shuffle_stream(bench: EventBench, seed: int = 7) -> None:
    """Publish every message of the outbox in random order, each up to three times, with ids that JetStream does not
    recognise; then empty the outbox."""
    await bench.bus.wait_connected(10)
    js = bench.bus.jetstream()
    await ensure_all(js, 3)
    async with bench.database.connection() as conn:
        rows = await (await conn.execute("SELECT shard, payload FROM outbox")).fetchall()
    source = random.Random(seed)
    copies = [row for row in rows for _ in range(source.randint(1, 3))]
    source.shuffle(copies)
    for shard, payload in copies:
        await js.publish(subject(shard), payload.encode())
    await bench.execute("DELETE FROM outbox")


async def test_duplicates_and_disorder_change_nothing(any_bench: EventBench) -> None:
    await any_bench.post(120)
    await shuffle_stream(any_bench)
    async with any_bench.running(any_bench.projector()):
        await any_bench.caught_up()
        await until(any_bench.acknowledged, "all messages are acknowledged")
        proof = await any_bench.prove()
    assert failures(proof) == {}
    stream = next(check for check in proof.checks if check.name == "stream")
    assert stream.figures["repeated"] > 0


async def test_missing_entries_are_read_from_the_ledger_and_counted(bench: EventBench) -> None:
    await bench.post(60)
    await bench.bus.wait_connected(10)
    js = bench.bus.jetstream()
    await ensure_all(js, 3)
    async with bench.database.connection() as conn:
        rows = await (await conn.execute("SELECT shard, payload FROM outbox")).fetchall()
    newest = max(rows, key=lambda row: json.loads(row[1])["entries"][0]["version"])
    await js.publish(subject(newest[0]), newest[1].encode())
    version = json.loads(newest[1])["entries"][0]["version"]
    account = json.loads(newest[1])["entries"][0]["account_id"]
    async with bench.running(bench.projector()):
        await until(lambda: _version(bench, account, version), "one message brings the account's whole history")
    assert (await bench.one("SELECT gaps FROM projection"))[0] >= version - 1


async def _version(bench: EventBench, account: str, version: int) -> bool:
    row = await bench.one("SELECT version FROM account_view WHERE account_id = %s", account)
    return row is not None and row[0] == version


async def test_a_projector_without_the_version_rule_is_found_out(bench: EventBench) -> None:
    await bench.post(60)
    await shuffle_stream(bench)
    async with bench.running(bench.projector(broken=Sabotage.PROJECTOR_RULE)):
        await until(bench.acknowledged, "all messages are acknowledged")
        lost = failures(await bench.prove())
    assert set(lost) == {"view"}
    assert "read model: account" in lost["view"]


async def test_messages_that_cannot_be_used_are_put_aside_with_the_reason(bench: EventBench) -> None:
    await bench.post(10)
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.caught_up()
        js = bench.bus.jetstream()
        messages = [message async for message in replay(js, STREAM)]
        lie = json.loads(messages[-1].data)
        lie["entries"][0]["version"] += 1000
        lie["entries"][0]["balance_after"] += 1
        await js.publish(subject(3), b"no event at all")
        await js.publish(subject(3), json.dumps({**lie, "schema": 99}).encode())
        await js.publish(subject(3), json.dumps(lie).encode())
        await until(lambda: _dead(bench, 3), "three messages are put aside")
        await bench.post(10)
        await bench.caught_up()
    reasons = [letter.reason async for letter in letters(bench.bus.jetstream())]
    assert any(reason.startswith("not an event: ") for reason in reasons)
    assert any("schema 99 is not 1" in reason for reason in reasons)
    assert any("follows version" in reason for reason in reasons)
    lost = failures(await bench.prove())
    assert set(lost) == {"stream"}, "the read model is right, the stream has messages that do not belong"
    done = await bench.reconcile(Trust.LEDGER)
    assert done.removed == 3
    assert failures(await bench.prove()) == {}


async def _dead(bench: EventBench, count: int) -> bool:
    row = await bench.one("SELECT dead FROM projection")
    if row is None or row[0] < count:
        return False
    return len([letter async for letter in letters(bench.bus.jetstream())]) == count


async def test_poison_of_every_kind_is_put_aside_and_what_comes_after_it_is_applied(any_bench: EventBench) -> None:
    await any_bench.post(10)
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.caught_up()
        js = any_bench.bus.jetstream()
        message = [message async for message in replay(js, STREAM)][-1]
        for event in _poison(json.loads(message.data)):
            await js.publish(subject(3), json.dumps(event).encode())
        await js.publish(subject(3), b"x" * ((1 << 20) - 100))
        await any_bench.post(10)
        await any_bench.caught_up()
        await until(lambda: _dead(any_bench, 8), "eight messages are put aside")
        await until(any_bench.acknowledged, "nothing is delivered for ever")
    reasons = " ".join([letter.reason async for letter in letters(any_bench.bus.jetstream())])
    for said in ("$.entries[0].amount", "$.entries[0].version", "$.entries[0].currency", "timezone component",
                 "years 1899 to 9001", "not one of UTC's", "RFC3339", "malformed"):  # fmt: skip
        assert said in reasons, reasons
    assert (await any_bench.reconcile()).removed == 8
    assert failures(await any_bench.prove()) == {}


def _poison(event: dict[str, Any]) -> list[dict[str, Any]]:
    """What an event of an account that nobody has opened may say that no database can store."""
    stranger = {**event["entries"][0], "account_id": str(account_named("stranger")), "version": 1}

    def entry(**fields: Any) -> dict[str, Any]:
        return {**event, "entries": [{**stranger, **fields}]}

    return [
        entry(amount=2**70, balance_after=2**70),
        entry(version=2**63),
        entry(currency="E\0R"),
        {**entry(), "posted_at": "2026-01-31T09:00:00"},
        {**entry(), "posted_at": "0001-01-01T00:00:00+05:00"},
        {**entry(), "effective_at": "9999-12-31T23:59:59-05:00"},
        {**entry(), "effective_at": "12026-01-31T09:00:00Z"},
    ]


async def test_the_one_message_that_the_database_refuses_is_found_among_many(any_bench: EventBench) -> None:
    await any_bench.execute("ALTER TABLE statement_view ADD CONSTRAINT no_unlucky_number CHECK (amount <> 1313)")
    try:
        await any_bench.post(10)
        async with any_bench.database.connection() as conn:
            rows = await (await conn.execute("SELECT payload FROM outbox ORDER BY id")).fetchall()
        events = [payload.encode() for (payload,) in rows]
        for number in (3, 17):
            forged = json.loads(events[number])
            entry = {**forged["entries"][0], "amount": 1313, "balance_after": 1313, "held_after": 0, "version": 1}
            entry["account_id"] = str(account_named(f"stranger {number}"))
            events.insert(number, json.dumps({**forged, "entries": [entry]}).encode())
        await any_bench.bus.wait_connected(10)
        js = any_bench.bus.jetstream()
        await ensure_all(js, 3)
        for event in events:
            await js.publish(subject(0), event)
        async with any_bench.running(any_bench.projector()):
            await until(lambda: _dead(any_bench, 2), "both are put aside")
            await until(any_bench.acknowledged, "all messages are acknowledged")
            assert await any_bench.view_is_current()
        found = [letter async for letter in letters(any_bench.bus.jetstream())]
        assert sorted(letter.sequence for letter in found) == [4, 18]
        assert all("the database refuses it" in letter.reason for letter in found)
        await any_bench.reconcile(Trust.LEDGER)
        assert failures(await any_bench.prove()) == {}
    finally:
        await any_bench.execute("ALTER TABLE statement_view DROP CONSTRAINT no_unlucky_number")


async def test_a_missing_table_puts_no_message_aside(bench: EventBench) -> None:
    await bench.execute("ALTER TABLE statement_view RENAME TO not_migrated_yet")
    await bench.post(10)
    refused = asyncio.Event()

    class Refused(Projector):
        async def project(self, messages: Sequence[Msg]) -> None:
            try:
                await super().project(messages)
            except SchemaMissing:
                refused.set()
                raise

    async with bench.running(bench.relay()), bench.running(bench.projector(kind=Refused)):
        async with asyncio.timeout(30):
            await refused.wait()
        await bench.execute("ALTER TABLE not_migrated_yet RENAME TO statement_view")
        await bench.caught_up()
    assert failures(await bench.prove()) == {}
    assert [letter async for letter in letters(bench.bus.jetstream())] == []


async def test_each_message_is_counted_once_by_what_became_of_it(bench: EventBench) -> None:
    await bench.post(10)
    await bench.reconcile()  # makes the stream
    async with bench.running(bench.relay()):
        await until(lambda: _published(bench, 22), "all events are in the stream")
    messages = [_unacknowledgeable(message) async for message in replay(bench.bus.jetstream(), STREAM)]
    projector = bench.projector()
    await projector.start()
    try:
        assert projector._writer is not None
        await projector._writer.fill(account_named("account 1"))
        counted = _counted()
        await projector.project(messages)
        assert _counted(counted) == {"applied": 21, "skipped": 1, "dead": 0}, "all but the opening of that account"
        await projector.project([*messages, *messages])
        assert _counted(counted) == {"applied": 21, "skipped": 45, "dead": 0}
    finally:
        await projector.stop()
    nonsense = _unacknowledgeable(messages[0])
    nonsense.data = b"nonsense"
    found = await deliver(ViewWriter(bench.database), [nonsense, *messages])
    assert (found.applied, found.skipped, list(found.dead)) == (0, 22, [0])


def _counted(before: dict[str, int] | None = None) -> dict[str, int]:
    now = {outcome: int(metrics.PROJECTED.labels(outcome)._value.get()) for outcome in ("applied", "skipped", "dead")}
    return {outcome: count - (before or {}).get(outcome, 0) for outcome, count in now.items()}


async def _published(bench: EventBench, count: int) -> bool:
    return (await bench.bus.jetstream().stream_info(STREAM)).state.messages == count


async def test_a_projector_that_stands_by_has_nothing_pending(bench: EventBench) -> None:
    async with bench.database.connection() as conn:
        await leases.claim(conn, ["projector/view"], "another", 60)
    metrics.PROJECTOR_PENDING.set(7)
    async with bench.running(bench.projector()):
        await until(_nothing_pending, "the gauge goes back to 0")


async def _nothing_pending() -> bool:
    return bool(metrics.PROJECTOR_PENDING._value == 0)


async def test_one_projector_works_and_another_takes_over_when_it_dies(bench: EventBench) -> None:
    first, second = bench.projector(), bench.projector()
    async with bench.running(bench.relay()), bench.running(first) as task:
        await until(lambda: _active(first), "the first projector works")
        async with bench.running(second):
            assert first._shares is not None
            first._shares.give_up = _nothing  # type: ignore[method-assign]
            await bench.kill(task)
            await bench.post(50)
            await until(lambda: _active(second), "the second takes over within seconds", seconds=10)
            await bench.caught_up()
            assert failures(await bench.prove()) == {}


async def _active(projector: Projector) -> bool:
    return projector.active


async def test_a_read_model_changed_behind_its_back_takes_the_ledgers_word(bench: EventBench) -> None:
    account = account_named("account 1")
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(24)
        await bench.caught_up()
        await bench.execute("UPDATE account_view SET balance = balance + 1 WHERE account_id = %s", account)
        assert "view" in failures(await bench.prove())
        await bench.post(24)
        await bench.caught_up()
        assert failures(await bench.prove()) == {}
    assert [letter async for letter in letters(bench.bus.jetstream())] == [], "the messages were right"
