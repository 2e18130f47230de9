"""CPU time of the local load balancer for each request, before three replicas that only answer.

The replicas are one process and the client another, so `/proc` tells the balancer's own time apart. CPU time hardly
depends on what else the machine does; the throughput does.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import uuid
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from chronicle_chaos.local.binaries import chronicle
from chronicle_chaos.local.ports import free_ports

from .table import Options, Row

HERE = Path(__file__).parent
REPLICAS = 3
CONCURRENCY = 50
ACCOUNTS = [str(uuid.UUID(int=number)) for number in range(1000)]
BODY = json.dumps(
    {"id": "0" * 36, "status": 201, "entries": [{"account_id": "0" * 36, "amount": 1}] * 2, "x": "x" * 500}
)
HEAD = (
    f"HTTP/1.1 201 Created\r\ndate: Tue, 01 Dec 2026 04:00:00 GMT\r\ncontent-type: application/json\r\n"
    f"x-request-id: {'0' * 32}\r\ncache-control: no-store\r\ncontent-length: {len(BODY)}\r\n\r\n"
)
ANSWER = (HEAD + BODY).encode()
READY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class _Replica(asyncio.Protocol):
    """Answers each request at once; `/readyz` too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(READY if data.startswith(b"GET") else ANSWER)


async def _serve(ready: Connection) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Replica, "127.0.0.1", 0) for _ in range(REPLICAS)]
    ready.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.Event().wait()


def _replicas(ready: Connection) -> None:
    uvloop.run(_serve(ready))


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(what: str, command: Sequence[str], replicas: Sequence[int], seconds: float) -> Row:
    """Start a balancer by `command`, which its port and the replicas' URLs are added to, and load it."""
    (port,) = free_ports(1)
    urls = [f"http://127.0.0.1:{replica}" for replica in replicas]
    balancer = await asyncio.create_subprocess_exec(*command, str(port), *urls)
    try:
        base = f"http://127.0.0.1:{port}"
        await _ready(base)
        load = {
            "base": base, "accounts": ACCOUNTS, "hot": False, "batch": 0, "prefix": "b", "concurrency": CONCURRENCY,
        }  # fmt: skip
        await _load({**load, "seconds": 1.0})
        before = _cpu_seconds(balancer.pid)
        result = await _load({**load, "seconds": seconds})
        cpu = _cpu_seconds(balancer.pid) - before
    finally:
        balancer.terminate()
        await balancer.wait()
    requests = result["per_second"] * seconds + result["failed"]
    return Row(
        "none", what, result["per_second"], result["p50"], result["p99"], result["failed"],
        {"CPU ms a request": cpu / requests * 1000},
    )  # fmt: skip


async def _ready(base: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(base + "/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def _load(options: dict[str, Any]) -> dict[str, Any]:
    client = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "http_client.py"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await client.communicate(json.dumps(options).encode())
    result: dict[str, Any] = json.loads(answer)
    return result


async def run(options: Options) -> list[Row]:
    """Measure the balancer that `chronicle up` starts."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    replicas = multiprocessing.get_context("spawn").Process(target=_replicas, args=(there,), daemon=True)
    replicas.start()
    try:
        ports = await asyncio.to_thread(here.recv)
        command = [str(chronicle()), "local-balancer"]
        return [await measure("POST, 50 clients, three replicas that only answer", command, ports, options.seconds)]
    finally:
        replicas.terminate()
        replicas.join()
