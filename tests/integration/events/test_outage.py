"""NATS goes out in every way; writers never notice, and afterwards nothing is lost and nothing is there twice."""

from __future__ import annotations

import asyncio

from chronicle_ledger.events.stream import STREAM
from chronicle_ledger.proof import Result
from support.event_bench import EventBench, failures, until


async def posting_all_the_time(bench: EventBench, stop: asyncio.Event) -> int:
    """Post until told to stop; how many."""
    posted = 0
    while not stop.is_set():
        await bench.post(20)
        posted += 20
        await asyncio.sleep(0.01)
    return posted


async def test_events_reach_stream_and_read_model_on_every_database(any_bench: EventBench) -> None:
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        await any_bench.post(300)
        await any_bench.caught_up()
        proof = await any_bench.prove()
    assert failures(proof) == {}
    assert proof.result is Result.PASSED
    stream = next(check for check in proof.checks if check.name == "stream")
    assert stream.compared == 312
    assert stream.figures["in_stream"] + stream.figures["only_in_outbox"] == 312


async def test_all_nats_servers_killed_under_load_and_started_again(bench: EventBench) -> None:
    stop = asyncio.Event()
    async with bench.running(bench.relay()), bench.running(bench.relay()), bench.running(bench.projector()):
        load = asyncio.create_task(posting_all_the_time(bench, stop))
        await until(lambda: _view_has(bench, 100), "the read model shows some of the load")
        bench.nats.kill()
        behind = await bench.backlog()

        async def grown() -> bool:
            return await bench.backlog() > behind + 500

        # Writers go on: the outbox grows while no NATS server is there.
        await until(grown, "the outbox grows while NATS is out")
        bench.nats.start()
        stop.set()
        posted = await load
        bench.nats.wait_ready()
        await bench.caught_up()
        proof = await bench.prove()
    assert failures(proof) == {}
    assert proof.transactions == posted + 12


async def test_the_leader_of_the_stream_killed_under_load(bench: EventBench) -> None:
    stop = asyncio.Event()
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        load = asyncio.create_task(posting_all_the_time(bench, stop))
        await until(lambda: _view_has(bench, 100), "the read model shows some of the load")
        info = await bench.bus.jetstream().stream_info(STREAM)
        assert info.cluster is not None
        assert info.cluster.leader is not None
        leader = bench.nats.number_of(info.cluster.leader)
        bench.nats.kill(leader)
        before = (await bench.one("SELECT COALESCE(sum(version), 0) FROM account_view"))[0]

        async def goes_on() -> bool:
            return bool((await bench.one("SELECT sum(version) FROM account_view"))[0] > before + 200)

        await until(goes_on, "two of three servers carry on")
        bench.nats.start(leader)
        stop.set()
        await load
        bench.nats.wait_ready()
        await bench.caught_up()
        proof = await bench.prove()
    assert failures(proof) == {}


async def test_a_proof_made_while_writes_go_on_is_clean(any_bench: EventBench) -> None:
    stop = asyncio.Event()
    async with any_bench.running(any_bench.relay()), any_bench.running(any_bench.projector()):
        load = asyncio.create_task(posting_all_the_time(any_bench, stop))
        await until(lambda: _view_has(any_bench, 100), "the read model shows some of the load")
        proofs = [await any_bench.prove() for _ in range(3)]
        stop.set()
        await load
    assert [failures(proof) for proof in proofs] == [{}, {}, {}]
    assert proofs[0].transactions < proofs[2].transactions


async def test_a_proof_without_nats_claims_nothing_of_the_stream(bench: EventBench) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(20)
        await bench.caught_up()
    bench.nats.kill()
    try:
        from chronicle_ledger.proof import prove

        proof = await prove(bench.database, bench.bus)
    finally:
        bench.nats.start()
    assert proof.result is Result.INCONCLUSIVE
    assert list(failures(proof)) == ["stream"]


async def _view_has(bench: EventBench, entries: int) -> bool:
    return bool((await bench.one("SELECT count(*) FROM statement_view"))[0] >= entries)
