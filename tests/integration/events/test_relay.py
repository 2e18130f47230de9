"""The relay: shared work, taken over from the dead, and rows deleted only once acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chronicle_ledger.events import stream
from chronicle_ledger.events.publisher import Published
from chronicle_ledger.events.relay import Relay
from chronicle_ledger.events.stream import STREAM, StreamSpec, StreamWouldShrink, ensure
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.outbox import Pending
from support.event_bench import EventBench, failures, until


class DiesBeforeDeleting(Relay):
    """A relay that is killed at the worst moment: JetStream has acknowledged, the rows are still there."""

    async def _delete(self, rows: Sequence[Pending]) -> None:
        del rows
        raise asyncio.CancelledError


async def held(*relays: Relay) -> list[int]:
    """How many shards each relay holds."""
    return [len(relay.shares.held) for relay in relays]


async def test_relays_share_the_shards_and_take_over_those_of_a_dead_one(any_bench: EventBench) -> None:
    first, second = any_bench.relay(), any_bench.relay()
    async with any_bench.running(first) as first_task, any_bench.running(second):
        await until(lambda: _equal(held(first, second), [8, 8]), "each relay holds half of the shards")
        # Killed: it neither drains nor gives its leases back, so they have to run out.
        first.shares.give_up = _nothing  # type: ignore[method-assign]
        await any_bench.kill(first_task)
        await until(lambda: _equal(held(second), [16]), "the other takes over within seconds", seconds=10)
        await any_bench.post(100)
        await until(lambda: _empty(any_bench), "all events are published")


async def test_a_relay_killed_between_publishing_and_deleting_loses_and_doubles_nothing(bench: EventBench) -> None:
    await bench.post(50)
    normal = bench.relay()
    fatal = DiesBeforeDeleting(
        bench.open_database, normal._bus, normal._publisher, worker="fatal", replicas=3, lease_seconds=1.0
    )
    async with bench.running(fatal) as task:
        await asyncio.wait({task})
    assert await bench.backlog() == 62, "the rows are still there"
    assert (await bench.bus.jetstream().stream_info(STREAM)).state.messages == 62, "although all were published"
    again = bench.relay()
    async with bench.running(again), bench.running(bench.projector()):
        await bench.caught_up()
        proof = await bench.prove()
    assert failures(proof) == {}
    assert (await bench.bus.jetstream().stream_info(STREAM)).state.messages == 62, "JetStream knew the messages"


class LosesAcknowledgements:
    """A bus that takes messages and never says so."""

    def __init__(self) -> None:
        self.taken = 0

    async def publish(self, rows: Sequence[Pending]) -> Published:
        self.taken += len(rows)
        return Published(failed=len(rows), reason="no acknowledgement")


async def test_without_acknowledgement_nothing_is_deleted_and_with_early_deletion_everything_is_lost(
    bench: EventBench,
) -> None:
    silent = LosesAcknowledgements()
    async with bench.running(bench.relay(publisher=silent)):
        await until(lambda: _reached(silent, 24), "the relay has tried again")
    assert await bench.backlog() == 12
    async with bench.running(bench.relay(publisher=LosesAcknowledgements(), broken=Sabotage.RELAY_EARLY_DELETE)):
        await until(lambda: _empty(bench), "the sabotaged relay has deleted what was never acknowledged")
    lost = failures(await bench.prove())
    assert "neither in the outbox nor in the stream (and 11 more)" in lost["stream"]


async def test_setting_the_stream_up_twice_changes_nothing_and_lets_it_grow(bench: EventBench) -> None:
    await bench.bus.wait_connected(10)
    js = bench.bus.jetstream()
    small = StreamSpec(STREAM, (stream.SUBJECTS,), replicas=1, duplicate_window=60)
    made = await ensure(js, small)
    assert (made.config.num_replicas, made.config.duplicate_window) == (1, 60)
    again = await ensure(js, small)
    assert again.created == made.created
    grown = await ensure(js, stream.transactions(3))
    assert (grown.config.num_replicas, grown.config.duplicate_window) == (3, 120)
    assert str(grown.config.storage) in {"file", "StorageType.FILE"}
    with pytest.raises(StreamWouldShrink, match=r"replicas: 3 -> 1.*duplicate window: 120 s -> 60 s"):
        await ensure(js, small)
    assert (await js.stream_info(STREAM)).config.num_replicas == 3, "nothing was changed"


async def test_a_relay_that_must_not_shrink_the_stream_says_so_and_still_publishes(bench: EventBench) -> None:
    await bench.bus.wait_connected(10)
    await ensure(bench.bus.jetstream(), stream.transactions(3))
    relay = bench.relay()
    relay._replicas = 1
    async with bench.running(relay):
        await until(lambda: _empty(bench), "events are published into the stream as it is")
        assert "would shrink (replicas: 3 -> 1)" in (await relay.ready() or "")


async def _nothing() -> None:
    return None


async def _equal(found: object, wanted: list[int]) -> bool:
    return bool(await found == wanted)  # type: ignore[misc]


async def _empty(bench: EventBench) -> bool:
    return await bench.backlog() == 0


async def _reached(publisher: LosesAcknowledgements, count: int) -> bool:
    return publisher.taken >= count
