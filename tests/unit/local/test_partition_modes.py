"""A partition of each kind is shown by what becomes of new connections and of those that were open before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.held import STARTUP
from chronicle_chaos.injectors.local.injector import LocalInjector
from chronicle_chaos.injectors.probes import SSL_REQUEST
from chronicle_chaos.local.ports import LOOPBACK, free_port
from chronicle_chaos.local.tcp_proxy import Mode, TcpProxy
from support.fake_control import TARGET, Cluster, FakeControl, Undone, an_instance

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NODES = {"cockroach-1": "region-a", "cockroach-2": "region-a", "cockroach-3": "region-b",
         "nats-1": "region-a", "nats-2": "region-a", "nats-3": "region-b"}  # fmt: skip


async def _cockroach(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        assert await reader.readexactly(8) == SSL_REQUEST
        writer.write(b"N")
        assert await reader.readexactly(len(STARTUP)) == STARTUP
        writer.write(b"R")
        await reader.read()
    writer.close()


async def _nats_route(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.write(b"INFO {}\r\n")
        if await reader.readline():
            writer.write(b"-ERR 'Authorization Violation'\r\n")
    writer.close()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Servers that speak as CockroachDB and a NATS route do, each behind a proxy."""
    made, servers = Cluster([]), []
    for name, region in NODES.items():
        talk: Talk = _cockroach if name.startswith("cockroach") else _nats_route
        server = await asyncio.start_server(talk, LOOPBACK, 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        proxy = TcpProxy(free_port(), port)
        await proxy.start()
        made.proxies.append(proxy)
        made.instances.append(replace(an_instance(name, port, region=region), peers=port, crossing=proxy.port))
    yield made
    for proxy in made.proxies:
        await proxy.stop()
    for server in servers:
        server.close()


def injector_of(cluster: Cluster, mode: Mode) -> LocalInjector:
    # Only where packets vanish the whole patience is waited for; elsewhere a busy machine may take its time to answer.
    return LocalInjector(TARGET, FakeControl(cluster=cluster), cut=mode, patience=0.5 if mode is Mode.BLACKHOLE else 5)


@pytest.mark.parametrize(
    ("mode", "fresh", "live"),
    [
        (Mode.BLACKHOLE, {"timed out"}, {"timed out"}),
        (Mode.REFUSE, {"refused"}, {"closed", "reset"}),
        (Mode.RESET, {"reset"}, {"reset"}),
    ],
)
async def test_each_mode_has_its_evidence(cluster: Cluster, mode: Mode, fresh: set[str], live: set[str]) -> None:
    injector = injector_of(cluster, mode)
    undo = Undone()
    cut = await injector.inject(Partition(), undo, Random(1))
    assert undo.entries == [{"links": "pass"}]
    for _ in ("at once", "and at the end of the window"):
        evidence = await injector.evidence(cut)
        assert evidence.proven, evidence
        seen = {o.subject: o.after for o in evidence.observations}
        across = {"region-a to cockroach-3", "region-a to nats-3"}
        across |= {f"region-b to {kind}-{n}" for kind in ("cockroach", "nats") for n in (1, 2)}
        assert {seen.pop(subject) for subject in across} <= fresh
        assert {seen.pop(f"{subject}, over a connection from before") for subject in across} <= live
        assert seen == {f"within region-a to {kind}-{n}": "answers" for kind in ("cockroach", "nats") for n in (1, 2)}
    assert not (await injector.healed(cut)).proven
    await injector.heal(cut)
    assert (await injector.healed(cut)).proven
    assert not (await injector.evidence(cut)).proven


async def test_a_cut_that_spares_connections_from_before_is_no_cut(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Toxiproxy issue 148: what was open already goes on."""

    async def new_ones_only(proxy: TcpProxy, mode: Mode) -> None:
        if mode is Mode.REFUSE:
            await proxy._stop_listening()

    monkeypatch.setattr(TcpProxy, "set_mode", new_ones_only)
    injector = injector_of(cluster, Mode.REFUSE)
    cut = await injector.inject(Partition(), Undone(), Random(1))
    for _ in range(2):
        spared = [o for o in (await injector.evidence(cut)).observations if not o.shows_fault]
        assert len(spared) == len(NODES)
        assert {o.after for o in spared} == {"answers"}
    await injector.heal(cut)


async def test_a_cut_that_cuts_the_majority_as_well_is_not_the_one_that_was_asked_for(cluster: Cluster) -> None:
    injector = injector_of(cluster, Mode.BLACKHOLE)
    cut = await injector.inject(Partition(), Undone(), Random(1))
    second = next(i for i in cluster.instances if i.name == "cockroach-2")
    cluster.instances = [replace(i, peers=free_port()) if i is second else i for i in cluster.instances]
    (wrong,) = [o for o in (await injector.evidence(cut)).observations if not o.shows_fault]
    assert (wrong.subject, wrong.after) == ("within region-a to cockroach-2", "refused")
    await injector.heal(cut)


async def test_a_link_that_is_dead_before_the_cut_is_told_and_nothing_is_cut(cluster: Cluster) -> None:
    from chronicle_chaos.injectors.injection import InjectionError

    await cluster.proxies[-1].stop()
    undo = Undone()
    with pytest.raises(InjectionError, match=r"region-a to nats-3.*refused"):
        await injector_of(cluster, Mode.BLACKHOLE).inject(Partition(), undo, Random(1))
    assert (undo.entries, cluster.links) == ([], "pass")
