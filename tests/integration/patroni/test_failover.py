"""Three real PostgreSQL nodes under Patroni: what was acknowledged outlives the node that acknowledged it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from chronicle_chaos.local.patroni import view
from chronicle_chaos.local.patroni.cluster import PatroniCluster
from chronicle_chaos.local.patroni.layout import Layout, number_of_ports
from chronicle_chaos.local.patroni.outlet import Outlet
from chronicle_chaos.local.patroni.wheels import find_means
from chronicle_chaos.local.plan import PLACEMENT, REGION_A
from chronicle_chaos.local.ports import free_ports
from chronicle_chaos.local.tcp_proxy import TcpProxy
from chronicle_chaos.local.waiting import until

PATIENCE = 150.0
"""Seconds for what takes 20 to 25 on an idle machine."""


@pytest.fixture
async def cluster() -> AsyncIterator[PatroniCluster]:
    # Not pytest's own folder: where there are no namespaces, another account has to get through to it.
    folder = Path(tempfile.mkdtemp(prefix="patroni-"))
    layout = Layout.on(free_ports(number_of_ports(PLACEMENT)), PLACEMENT)
    proxies = [TcpProxy(port, upstream) for port, upstream in layout.routes.items()]
    outlet = Outlet(layout.outlet, layout.crossings(layout.alone))
    for proxy in proxies:
        await proxy.start()
    await outlet.start()
    means = find_means(folder)
    if means.account is not None:
        shutil.chown(folder, means.account.user, means.account.group)
    made = PatroniCluster(folder, layout, means)
    made.prepare()
    try:

        def check() -> None:
            for process in made.processes.values():
                process.check()

        await made.start(check)
        yield made
    finally:
        await made.stop()
        await outlet.stop()
        for proxy in proxies:
            await proxy.stop()
        shutil.rmtree(folder)


async def _write(url: str, acknowledged: list[int], over: asyncio.Event) -> None:
    """Insert numbers until it is over, each until it is acknowledged. A statement that takes too long has its socket
    cut: to cancel it would acknowledge what no standby has."""
    number = 0
    connection = None
    while not over.is_set():
        number += 1
        with suppress(psycopg.Error, OSError):
            if connection is None or connection.closed:
                connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=2)
            timer = asyncio.get_running_loop().call_later(3.0, _cut, connection)
            try:
                await connection.execute("INSERT INTO kept VALUES (%s) ON CONFLICT DO NOTHING", (number,))
            finally:
                timer.cancel()
            acknowledged.append(number)
        await asyncio.sleep(0.02)
    if connection is not None:
        await connection.close()


def _cut(connection: psycopg.AsyncConnection[object]) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as handle:
        handle.shutdown(socket.SHUT_RDWR)


@pytest.mark.timeout(600)
async def test_a_primary_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(cluster: PatroniCluster) -> None:
    url = cluster.url(REGION_A)
    ports = [node.rest for node in cluster.nodes]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
        await connection.execute("CREATE TABLE kept (number int PRIMARY KEY)")
    acknowledged: list[int] = []
    over = asyncio.Event()
    writer = asyncio.create_task(_write(url, acknowledged, over))
    try:

        async def some() -> bool:
            return len(acknowledged) >= 50

        await until(some, "writes are acknowledged", seconds=PATIENCE)
        primary = view.primary_of(await view.ask_any(ports))
        assert primary is not None
        assert await cluster.processes[primary].kill(keep_away=True) is not None
        before = len(acknowledged)

        async def more() -> bool:
            return len(acknowledged) >= before + 50

        await until(more, "writes are acknowledged again", seconds=PATIENCE)
        successor = view.primary_of(await view.ask_any([node.rest for node in cluster.nodes if node.name != primary]))
        assert successor not in {None, primary}
        cluster.processes[primary].release()

        async def whole() -> bool:
            return view.whole(await view.ask_any(ports), len(cluster.nodes))

        await until(whole, "the node that was killed counts again", seconds=PATIENCE)
    finally:
        over.set()
        await writer
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5) as connection:
        rows = await (await connection.execute("SELECT number FROM kept")).fetchall()
    assert set(acknowledged) <= {number for (number,) in rows}
    trees = [
        psutil.Process(pid).children(recursive=True)
        for node in cluster.nodes
        if (pid := cluster.processes[node.name].pid)
    ]
    assert [sum(process.name().startswith("postgres") for process in tree) > 1 for tree in trees] == [True] * 3
    await cluster.stop()
    left = [process for tree in trees for process in tree if process.is_running() and process.status() != "zombie"]
    assert left == [], "servers outlived their nodes"
