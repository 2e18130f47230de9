"""Reconcile and rebuild: whatever happens to the copies, the ledger brings them back."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from chronicle_ledger.domain.payload import SHARDS
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.rebuild import Rebuild, RebuildOvertaken, RebuildRunning
from chronicle_ledger.events.stream import STREAM, subject
from chronicle_ledger.events.view_writer import Applied, ViewWriter
from chronicle_ledger.proof import prove
from chronicle_ledger.proof.reconcile import Contradicted, LedgerDamaged, ReconcileFailed, Trust
from chronicle_ledger.proof.witness import Witness
from chronicle_ledger.store import leases, view_reads, view_writes
from chronicle_ledger.store.pool import Connection
from chronicle_ledger.store.view_reads import TrialLine, ViewBalance
from chronicle_ledger.store.view_rows import Progress, ViewState
from support.bulk_ledger import load_transfers
from support.event_bench import EventBench, failures, until
from support.ledger_bench import account_named


async def test_a_stream_deleted_behind_our_back_is_brought_back(bench: EventBench) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(200)
        await bench.caught_up()
        await bench.bus.jetstream().delete_stream(STREAM)
        await bench.post(50)
        await bench.caught_up()
        lost = failures(await bench.prove())
        assert "neither in the outbox nor in the stream" in lost["stream"]
        done = await bench.reconcile()
        assert done.published >= 200
        await until(bench.acknowledged, "the projector has looked at what was published again")
        assert failures(await bench.prove()) == {}
        assert (await bench.reconcile()).published == 0, "nothing is left to repair"


async def test_jetstreams_data_lost_altogether_is_brought_back(bench: EventBench) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(200)
        await bench.caught_up()
        bench.nats.kill()
        bench.nats.lose_data()
        await bench.post(50)
        bench.nats.start()
        bench.nats.wait_ready()
        await bench.caught_up()
        assert await bench.bus.wait_connected(20)
        assert "stream" in failures(await bench.prove())
        await bench.reconcile()
        await until(bench.acknowledged, "the projector has looked at what was published again")
        assert failures(await bench.prove()) == {}


async def test_messages_deleted_or_altered_in_the_stream_are_repaired(any_bench: EventBench) -> None:
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.post(30)
        await any_bench.caught_up()
        js = any_bench.bus.jetstream()
        message = await js.get_msg(STREAM, seq=20)
        forged = json.loads(message.data or b"")
        forged["metadata"] = {"note": "not what was posted"}
        await js.delete_msg(STREAM, 20)
        await js.delete_msg(STREAM, 25)
        await js.publish(subject(0), json.dumps(forged).encode())
        lost = failures(await any_bench.prove())
        assert "(and 1 more)" in lost["stream"], lost
        with pytest.raises(Contradicted, match=f"speaks of transaction {forged['id']}, which the ledger has otherwise"):
            await any_bench.reconcile()
        done = await any_bench.reconcile(Trust.LEDGER)
        assert (done.published, done.removed) == (2, 1)
        assert failures(await any_bench.prove()) == {}


async def test_outbox_rows_that_were_changed_are_written_anew_before_they_are_relayed(any_bench: EventBench) -> None:
    await any_bench.post(10)
    async with any_bench.database.connection() as conn:
        rows = await (await conn.execute("SELECT id, shard, payload FROM outbox ORDER BY id LIMIT 5")).fetchall()
    forged = {**json.loads(rows[0][2]), "metadata": {"note": "not what was posted"}}
    await any_bench.execute("UPDATE outbox SET payload = %s WHERE id = %s", json.dumps(forged), rows[0][0])
    await any_bench.execute("UPDATE outbox SET payload = 'nonsense' WHERE id = %s", rows[1][0])
    await any_bench.execute("UPDATE outbox SET payload = %s WHERE id = %s", rows[3][2], rows[2][0])
    await any_bench.execute("UPDATE outbox SET shard = 99 WHERE id = %s", rows[3][0])
    wrong = (rows[4][1] + 1) % SHARDS  # one row twice
    await any_bench.execute(
        "INSERT INTO outbox SELECT %s, id, 'x', created_at FROM outbox WHERE id = %s", wrong, rows[4][0]
    )
    stranger = account_named("no transaction")
    await any_bench.execute("INSERT INTO outbox (shard, id, payload, created_at) VALUES (0, %s, 'x', now())", stranger)
    found = [check for check in (await any_bench.prove()).checks if not check.ok]
    assert [check.name for check in found] == ["stream"]
    assert found[0].differences == 6
    assert "in the outbox" in found[0].message

    with pytest.raises(Contradicted, match=f"a row of the outbox speaks of transaction {rows[0][0]}"):
        await any_bench.reconcile()
    done = await any_bench.reconcile(Trust.LEDGER)
    assert (done.rewritten, done.published, done.removed) == (6, 0, 0)
    assert failures(await any_bench.prove()) == {}
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.caught_up()
        proof = await any_bench.prove()
    assert failures(proof) == {}
    figures = next(check.figures for check in proof.checks if check.name == "stream")
    assert figures["messages"] == proof.transactions, "each event came once, and none that was changed"


async def test_a_changed_event_that_was_relayed_while_its_row_waits_is_replaced_in_both(bench: EventBench) -> None:
    await bench.post(3)
    await bench.reconcile()  # makes nothing but the stream
    row = await bench.one("SELECT id, payload FROM outbox ORDER BY id LIMIT 1")
    forged = json.dumps({**json.loads(row[1]), "metadata": {"note": "not what was posted"}})
    await bench.execute("UPDATE outbox SET payload = %s WHERE id = %s", forged, row[0])
    # As a relay that is killed between publishing and deleting leaves it.
    await bench.bus.jetstream().publish(subject(0), forged.encode(), headers={"Nats-Msg-Id": str(row[0])})
    done = await bench.reconcile(Trust.LEDGER)
    assert (done.rewritten, done.published, done.removed) == (1, 1, 1)
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.caught_up()
        assert failures(await bench.prove()) == {}


async def test_every_kind_of_damage_to_the_read_model_is_seen_and_repaired(any_bench: EventBench) -> None:
    first, second = account_named("account 1"), account_named("account 2")
    damages = (
        ("UPDATE account_view SET balance = balance + 1 WHERE account_id = %s", "has balance"),
        ("UPDATE account_view SET version = version + 9 WHERE account_id = %s", "which the ledger has not reached"),
        ("DELETE FROM statement_view WHERE version = 3 AND account_id = %s", "lacks the line of version 3"),
        ("UPDATE statement_view SET amount = 1 WHERE version = 3 AND account_id = %s", "version 3 says balance"),
        (
            "UPDATE statement_view SET kind = 'deposit' WHERE version = 3 AND account_id = %s",
            "another transaction, kind",
        ),
        ("UPDATE statement_view SET effective_at = now() WHERE version = 3 AND account_id = %s", "kind or time"),
        ("UPDATE statement_view SET posted_at = now() WHERE version = 3 AND account_id = %s", "kind or time"),
        ("UPDATE account_view SET currency = 'USD' WHERE account_id = %s", "currency is 'USD', the ledger says 'EUR'"),
        ("UPDATE account_view SET kind = 'system' WHERE account_id = %s", "kind is 'system'"),
        ("UPDATE account_view SET posted_at = posted_at - interval '1 day' WHERE account_id = %s", "posted_at is"),
        ("UPDATE daily_view SET credits = credits + 1 WHERE account_id = %s", "the totals of account"),
        ("DELETE FROM daily_view WHERE account_id = %s", "the totals of account"),
        ("DELETE FROM account_view WHERE account_id = %s", "that should not be there"),
    )
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.post(60)
        await any_bench.caught_up()
        for statement, expected in damages:
            await any_bench.execute(statement, first)
            lost = failures(await any_bench.prove())
            assert set(lost) == {"view"}, statement
            assert expected in lost["view"]
            assert (await any_bench.reconcile()).accounts == 1
            assert failures(await any_bench.prove()) == {}, statement
        await any_bench.execute(
            "INSERT INTO account_view SELECT generation, %s, currency, kind, balance, held, version, posted_at"
            " FROM account_view WHERE account_id = %s",
            account_named("nobody"),
            second,
        )
        assert "which the ledger has not reached" in failures(await any_bench.prove())["view"]
        await any_bench.reconcile()
        assert failures(await any_bench.prove()) == {}


async def test_the_next_entry_of_an_account_brings_back_what_was_changed_of_its_row(any_bench: EventBench) -> None:
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.post(24)
        await any_bench.caught_up()
        await any_bench.execute("UPDATE account_view SET currency = 'USD', kind = 'system'")
        assert set(failures(await any_bench.prove())) == {"view"}
        await any_bench.post(24)
        await any_bench.caught_up()
        row = await any_bench.one(
            "SELECT currency, kind FROM account_view WHERE account_id = %s", account_named("account 1")
        )
    assert tuple(row) == ("EUR", "customer")


async def test_an_acknowledged_event_that_the_read_model_lacks_is_seen(bench: EventBench) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(30)
        await bench.caught_up()
        await until(bench.acknowledged, "all messages are acknowledged")
    # As if the projector had acknowledged without committing: an older state of one account, consistent in itself.
    account = account_named("account 1")
    for table in ("account_view", "statement_view", "daily_view"):
        await bench.execute(f"DELETE FROM {table} WHERE account_id = %s", account)  # noqa: S608
    lost = failures(await bench.prove())
    assert "was acknowledged, but account" in lost["view"]


async def test_a_damaged_ledger_is_never_copied_over_the_stream(bench: EventBench) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(30)
        await bench.caught_up()
    before = (await bench.bus.jetstream().stream_info(STREAM)).state
    await bench.execute("UPDATE txn SET metadata = '{\"note\":\"forged\"}' WHERE kind = 'transfer'")
    with pytest.raises(LedgerDamaged, match=r"nothing was repaired.*is not what was posted"):
        await bench.reconcile()
    after = (await bench.bus.jetstream().stream_info(STREAM)).state
    assert (after.messages, after.last_seq) == (before.messages, before.last_seq)


@pytest.mark.parametrize("time", [1, 2], ids=["at first", "while it repairs"])
async def test_a_stream_that_cannot_be_read_is_never_said_to_need_no_repair(
    bench: EventBench, monkeypatch: pytest.MonkeyPatch, time: int
) -> None:
    await bench.post(3)
    await bench.execute("DELETE FROM outbox")
    module = sys.modules[prove.__module__]
    hear, heard = module._hear_stream, []

    async def silent(bus: Bus, witness: Witness) -> str | None:
        heard.append(bus)
        if len(heard) == time:
            return "the stream could not be read to its end (nobody answers); try again"
        return await hear(bus, witness)  # type: ignore[no-any-return]

    monkeypatch.setattr(module, "_hear_stream", silent)
    with pytest.raises(ReconcileFailed, match=r"nothing was repaired: the stream could not be read.*; try again"):
        await bench.reconcile()
    assert (await bench.reconcile()).published == 15


async def test_more_unreadable_messages_than_anybody_reads_are_counted_and_all_removed(bench: EventBench) -> None:
    await bench.reconcile()  # makes the stream
    js = bench.bus.jetstream()
    for number in range(130):
        await js.publish(subject(0), f"nonsense {number}".encode())
    assert "(and 129 more)" in failures(await bench.prove())["stream"]
    assert (await bench.reconcile()).removed == 130
    assert failures(await bench.prove()) == {}


async def test_rebuilding_while_reads_and_writes_go_on(any_bench: EventBench) -> None:
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.post(200)
        await any_bench.caught_up()
        sizes: list[int] = []

        async def read(_: int) -> None:
            row = await any_bench.one(
                "SELECT count(*) FROM statement_view WHERE generation = (SELECT generation FROM view_current)"
            )
            sizes.append(row[0])

        reading: list[asyncio.Task[None]] = []
        rebuild = Rebuild(any_bench.database, lambda n: reading.append(asyncio.create_task(read(n))))
        done, _ = await asyncio.gather(rebuild.run(), any_bench.post(200))
        await asyncio.gather(*reading)
        await any_bench.caught_up()
        proof = await any_bench.prove()
    assert failures(proof) == {}
    assert done.generation == 2
    assert sizes
    assert min(sizes) >= 412, "a reader saw a read model that was not whole"
    generations = await any_bench.one("SELECT min(generation), max(generation) FROM statement_view")
    assert tuple(generations) == (2, 2), "the old generation is gone"


class PostedInBetween(Rebuild):
    """A rebuild in whose last moment before the switch transfers are posted, so that it ends behind the ledger."""

    bench: EventBench
    switched = False

    async def _switch(self, conn: Connection, generation: int) -> None:
        await self.bench.post(24)
        await super()._switch(conn, generation)
        self.switched = True


async def test_a_rebuild_and_the_projector_never_write_one_account_of_the_new_generation_at_once(
    bench: EventBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.post(24)
    rebuild = PostedInBetween(bench.database)
    rebuild.bench = bench
    projecting: list[asyncio.Task[Applied]] = []
    read = view_writes.states

    async def project(account: UUID) -> Applied:
        async with bench.database.connection() as conn:
            entries = await view_writes.account_page(conn, account, 1, 1000)
        return await ViewWriter(bench.database).apply(entries, Progress(1, 0, None))

    async def states(conn: Connection, generation: int, accounts: Sequence[UUID]) -> dict[UUID, ViewState]:
        found = await read(conn, generation, accounts)
        if rebuild.switched and not projecting:
            # The rebuild has read an account of the new generation and is about to write it: now comes the projector.
            projecting.append(asyncio.create_task(project(accounts[0])))
            await until(lambda: _done_or_waiting(bench, projecting[0]), "the projector has committed, or waits")
        return found

    monkeypatch.setattr(view_writes, "states", states)
    await rebuild.run()
    await projecting[0]
    assert failures(await bench.prove()).keys() <= {"stream"}, "no day counts an entry twice"


class ProjectedInBetween(PostedInBetween):
    """A rebuild in whose last moment before the switch transfers are posted and projected. Then it tells what is read
    before and after the switch."""

    before: Sequence[ViewBalance] = ()
    after: Sequence[ViewBalance] = ()
    trial: Sequence[TrialLine] = ()

    async def _switch(self, conn: Connection, generation: int) -> None:
        if not self.before:  # a transaction may be tried again
            await self.bench.post(24)
            for account in await every_balance(self.bench):
                await ViewWriter(self.bench.database).fill(account.account_id)
            self.before = await every_balance(self.bench)
        await Rebuild._switch(self, conn, generation)

    async def _catch_up(self, generation: int, *, live: bool = False) -> int:
        if live:
            self.after = await every_balance(self.bench)
            self.trial = await view_reads.trial_balance(self.bench.database)
        return await super()._catch_up(generation, live=live)


async def every_balance(bench: EventBench) -> Sequence[ViewBalance]:
    """Every account of the generation that is read."""
    return (await view_reads.balances(bench.database, limit=1000)).items


async def test_no_account_goes_back_when_a_rebuild_switches(any_bench: EventBench) -> None:
    await any_bench.post(24)
    await Rebuild(any_bench.database).run()
    rebuild = ProjectedInBetween(any_bench.database)
    rebuild.bench = any_bench
    await rebuild.run()
    assert rebuild.before
    assert [(a.account_id, a.version) for a in rebuild.after] == [(a.account_id, a.version) for a in rebuild.before]
    assert [line.debit - line.credit for line in rebuild.trial] == [0], "one side of a transfer"


async def test_a_trial_balance_is_of_one_generation_while_rebuilds_come_between_its_statements(
    any_bench: EventBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await any_bench.post(24)
    await Rebuild(any_bench.database).run()
    whole = await view_reads.trial_balance(any_bench.database)
    execute = view_reads._execute
    rebuilds = [Rebuild(any_bench.database), Rebuild(any_bench.database)]

    async def rebuilt_before(conn: Connection, query: str, parameters: Sequence[Any]) -> list[Any]:
        # The generation is known, and is gone when it is summed up.
        if rebuilds:
            await rebuilds.pop().run()
        return await execute(conn, query, parameters)

    monkeypatch.setattr(view_reads, "_execute", rebuilt_before)
    assert await view_reads.trial_balance(any_bench.database) == whole
    assert not rebuilds


async def _done_or_waiting(bench: EventBench, task: asyncio.Task[Applied]) -> bool:
    row = await bench.one(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return task.done() or row[0] > 0


async def test_an_interrupted_rebuild_leaves_the_read_model_as_it_was_and_the_next_one_cleans_up(
    bench: EventBench,
) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(50)
        await bench.caught_up()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Rebuild(bench.database, interrupt).run()
    assert failures(await bench.prove()) == {}
    done = await Rebuild(bench.database).run()
    assert done.generation == 3
    assert failures(await bench.prove()) == {}
    assert tuple(await bench.one("SELECT min(generation), max(generation) FROM statement_view")) == (3, 3)


class StoodStill(Rebuild):
    """A rebuild that stands still just before the switch, for so long that its lease runs out and another rebuild is
    begun and done."""

    bench: EventBench
    stood = False

    async def _switch(self, conn: Connection, generation: int) -> None:
        if not self.stood:  # a transaction may be tried again
            self.stood = True
            await self.bench.execute("UPDATE lease SET expires_at = now() - interval '1 second'")
            assert (await Rebuild(self.bench.database).run()).deleted > 0, (
                "the other one takes away what this one wrote"
            )
        await super()._switch(conn, generation)


async def test_a_rebuild_that_stood_still_until_another_one_was_done_switches_to_nothing(any_bench: EventBench) -> None:
    await any_bench.post(24)
    rebuild = StoodStill(any_bench.database)
    rebuild.bench = any_bench
    with pytest.raises(RebuildOvertaken, match="another rebuild has begun since"):
        await rebuild.run()
    assert tuple(await any_bench.one("SELECT generation FROM view_current")) == (3,)
    assert failures(await any_bench.prove()).keys() <= {"stream"}


async def test_two_rebuilds_at_once_are_refused(bench: EventBench) -> None:
    async with bench.database.connection() as conn:
        await leases.claim(conn, ["rebuild/view"], "another", 30)
    with pytest.raises(RebuildRunning):
        await Rebuild(bench.database).run()


@pytest.mark.timeout(180)
async def test_thirty_thousand_transactions_are_rebuilt(bench: EventBench, capsys: pytest.CaptureFixture[str]) -> None:
    await load_transfers(bench.database, 30_000)
    done = await Rebuild(bench.database).run()
    with capsys.disabled():
        sys.stdout.write(
            f"\nrebuild: {done.events:,} events in {done.seconds:.1f} s, {done.events_per_second:,.0f} events/s\n"
        )
    assert done.events == 30_012
    proof = await prove(bench.database, bench.bus)
    assert failures(proof) == {}
    assert proof.transactions == 30_012
