"""A stream that is gone, that another stands in for, or whose server takes less than an event: named, and healed."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from chronicle_chaos.local.binaries import find_nats
from chronicle_chaos.local.ports import free_port
from chronicle_ledger.events import relay as relays
from chronicle_ledger.events import stream
from chronicle_ledger.events.bus import Bus, BusUnavailable
from chronicle_ledger.events.dead import letters
from chronicle_ledger.events.feed import Item, feed
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.events.stream import STREAM, SubjectsTaken
from chronicle_ledger.proof.reconcile import LedgerDamaged, ReconcileFailed
from chronicle_ledger.proof.restore import Restore, StreamAnswers
from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.event_bench import EventBench, failures, until
from support.event_servers import NatsCluster
from support.ledger_bench import account_named, transfer


async def test_another_stream_on_the_subjects_acknowledges_nothing_is_named_and_all_heals_when_it_is_gone(
    bench: EventBench,
) -> None:
    relay = bench.relay()
    async with bench.running(relay), bench.running(bench.projector()):
        await bench.post(20)
        await bench.caught_up()
        js = bench.bus.jetstream()
        await js.delete_stream(STREAM)
        await js.add_stream(StreamConfig(name="AUDIT", subjects=[stream.SUBJECTS], num_replicas=3))
        try:
            await bench.post(30)

            async def named() -> bool:
                return "AUDIT" in (await relay.ready() or "")

            await until(named, "the relay says who stands in the way")
            assert await bench.backlog() == 30, "the acknowledgements of another stream delete nothing"
            assert "AUDIT" in (await stream.trouble(js) or "")
            with pytest.raises(SubjectsTaken, match="AUDIT"):
                await bench.reconcile()
        finally:
            await js.delete_stream("AUDIT")
        await bench.caught_up()
        assert await relay.ready() is None
        await bench.reconcile()
        assert failures(await bench.prove()) == {}


async def test_a_lost_stream_is_made_again_from_the_ledger_unless_it_answers_or_the_ledger_is_damaged(
    bench: EventBench,
) -> None:
    restore = Restore(bench.database, bench.bus, 3, pause=0.1)
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(20)
        await bench.caught_up()
        with pytest.raises(StreamAnswers, match="nothing was changed"):
            await restore.run()
        items = feed(bench.bus, None, from_start=True, stopped=lambda: False)
        seen = [await anext(items) for _ in range(32)]
    await bench.bus.jetstream().delete_stream(STREAM)
    account = account_named("account 1")
    await bench.execute("UPDATE account SET balance = balance + 1 WHERE id = %s", account)
    with pytest.raises(LedgerDamaged):
        await restore.run()
    await bench.execute("UPDATE account SET balance = balance - 1 WHERE id = %s", account)
    done = await restore.run()
    assert done.published == 32
    assert failures(await bench.prove()) == {}
    again = [item async for item in _first(items, 33)]
    assert again[0].reset, "readers are told that the stream is another one"
    assert {item.data for item in again[1:]} == {item.data for item in seen}


@contextlib.asynccontextmanager
async def _robbed(servers: list[str], *, own_routes: bool) -> AsyncIterator[tuple[EventBench, NatsCluster]]:
    """A ledger whose 32 events are in the stream, and its servers: two of them have just come back with empty disks."""
    url = ledger_servers.create_database(servers)[0]
    await migrate(url)
    nats = NatsCluster(own_routes=own_routes)
    with contextlib.closing(nats):
        nats.start()
        await asyncio.to_thread(nats.wait_ready)
        async with EventBench(url, nats) as bench:
            await bench.open_accounts()
            async with bench.running(bench.relay()), bench.running(bench.projector()):
                await bench.post(20)
                await bench.caught_up()
            nats.kill()
            nats.lose_data(1, 2)
            nats.start()
            yield bench, nats
            await until(lambda: _reconciled(bench), "the projector's consumer has a leader too", seconds=60)
            assert failures(await bench.prove()) == {}


async def _reconciled(bench: EventBench) -> bool:
    with contextlib.suppress(ReconcileFailed):
        await bench.reconcile()
        return True
    return False


async def _heals_by_itself(servers: list[str]) -> None:
    async with _robbed(servers, own_routes=True) as (bench, _):
        await until(lambda: _sound(bench.bus), "the third server brings the stream back", seconds=90)
        assert (await bench.bus.jetstream().stream_info(STREAM)).state.messages == 32


async def _heals_by_command(servers: list[str]) -> None:
    async with _robbed(servers, own_routes=False) as (bench, nats):
        odd = await _odd_one_out(nats)
        assert await bench.bus.wait_connected(30)
        assert await stream.trouble(bench.bus.jetstream(1.0)) is not None
        await until(lambda: _refused(bench), "the odd server does not tell of its stream any more", seconds=60)
        nats.kill(odd)
        nats.lose_data(odd)
        nats.start(odd)
        done = await Restore(bench.database, bench.bus, 3, pause=0.1).run()
        assert done.published == 32


async def _refused(bench: EventBench) -> bool:
    """Whether the command says what to do. A server that has just started may still tell of a leader that it had."""
    try:
        await Restore(bench.database, bench.bus, 3, pause=0.1, making=2.0).run()
    except StreamAnswers:
        return False
    except ReconcileFailed as error:
        return "/jsz" in str(error)
    raise AssertionError("a stream was made although the servers do not work together")


async def test_two_of_three_servers_with_empty_disks_are_named_and_the_stream_comes_back_by_itself_or_by_the_command(
    postgres_server: list[str],
) -> None:
    """Both at once: they wait for elections most of the time. By itself where each server lists its own route too."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_heals_by_itself(postgres_server))
        both.create_task(_heals_by_command(postgres_server))


async def _sound(bus: Bus) -> bool:
    with contextlib.suppress(BusUnavailable):
        return await stream.trouble(bus.jetstream(1.0)) is None
    return False


async def _odd_one_out(nats: NatsCluster) -> int:
    """The server whose cluster is not the others'."""
    sizes: list[int] = []

    async def known() -> bool:
        with contextlib.suppress(OSError, ValueError):
            sizes[:] = [nats.meta_cluster(number).get("cluster_size", 0) for number in range(3)]
        return sorted(sizes) == [2, 2, 3]

    await until(known, "two servers are a cluster of their own", seconds=60)
    return sizes.index(3)


async def _first(items: AsyncIterator[Item], count: int) -> AsyncIterator[Item]:
    """The first items that say something."""
    async for item in items:
        if item.position is not None:
            yield item
            count -= 1
            if not count:
                return


class SmallServer:
    """One NATS server that takes messages of `largest` bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients connect."""
        return (f"nats://127.0.0.1:{self._port}",)

    def start(self, largest: int, store: str = "4GB") -> None:
        """Start it, or start it again with other limits."""
        self.kill()
        path = self._folder / "nats.conf"
        jetstream = f'jetstream {{ store_dir: "{self._folder}/data", max_file_store: {store} }}'
        path.write_text(f"listen: 127.0.0.1:{self._port}\nmax_payload: {largest}\n{jetstream}\n")
        with (self._folder / "log").open("ab") as log:
            self._process = ledger_servers.start([str(find_nats()), "-c", str(path)], log)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture
def small_nats(tmp_path: Path) -> Iterator[SmallServer]:
    """A server that takes 64 KiB, where an event may have 256."""
    server = SmallServer(tmp_path)
    server.start(65_536)
    yield server
    server.kill()


async def test_an_event_that_nats_does_not_take_is_set_aside_and_named_and_the_others_arrive(
    postgres_url: str, small_nats: SmallServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "MEASURE_SECONDS", 0.2)
    await migrate(postgres_url)
    async with EventBench(postgres_url, small_nats) as bench:  # type: ignore[arg-type]  # it asks for URLs alone
        await bench.open_accounts()
        one, two = account_named("account 1"), account_named("account 2")
        large = transfer("large", one, two, 1, metadata={"note": "x" * 80_000})
        (posted,) = await bench.posting.submit_many([large], atomic=False, deadline=30)
        assert not isinstance(posted, Exception), posted
        await bench.post(10)
        relay = bench.relay()
        relay._replicas = 1
        async with bench.running(relay):
            await until(lambda: _waiting(bench, 1), "the others arrive")
            assert "max_payload" in (await relay.ready() or "")
            await until(lambda: _told(bench.bus), "the event is among the dead letters")
            (letter,) = [letter async for letter in letters(bench.bus.jetstream())]
            assert "larger than" in letter.reason
            assert len(letter.data) < 65_536
            lag = await LagMeter(bench.database, bench.bus).read()
            assert [row.bytes > 80_000 for row in lag.too_large] == [True]
            small_nats.start(1 << 20)
            await until(lambda: _waiting(bench, 0), "it goes on by itself when the server takes it", seconds=60)
            assert await relay.ready() is None


async def test_a_server_without_room_is_named_by_the_relay_and_nothing_is_lost(
    postgres_url: str, small_nats: SmallServer
) -> None:
    small_nats.start(1 << 20, store="200KB")
    await migrate(postgres_url)
    async with EventBench(postgres_url, small_nats) as bench:  # type: ignore[arg-type]  # it asks for URLs alone
        await bench.open_accounts()
        relay = bench.relay()
        relay._replicas = 1
        async with bench.running(relay):
            await bench.post(300)

            async def named() -> bool:
                return "insufficient resources" in (await relay.ready() or "")

            await until(named, "the relay says why", seconds=60)
            small_nats.start(1 << 20)
            await until(lambda: _waiting(bench, 0), "it goes on by itself", seconds=60)
            assert await relay.ready() is None
        assert failures(await bench.prove()) == {}


async def _waiting(bench: EventBench, count: int) -> bool:
    return await bench.backlog() == count


async def _told(bus: Bus) -> bool:
    assert await bus.wait_connected(20)
    return bool([letter async for letter in letters(bus.jetstream())])
