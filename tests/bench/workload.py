"""How much of one core the load generator needs at a given rate, against a server that answers at once.

python -m tests.bench.workload [--rate 300] [--seconds 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from random import Random

from aiohttp import web

from chronicle_chaos.load.client import open_client
from chronicle_chaos.load.operations import Operations
from chronicle_chaos.load.workload import Workload
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.figures import latencies, percentile
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.target import Target


async def _answer(request: web.Request) -> web.Response:
    return web.json_response({"id": "t", "entries": [], "path": request.path}, status=201)


async def _serve(ready: Connection) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready.send(runner.addresses[0][1])
    await asyncio.Event().wait()


def _server(ready: Connection) -> None:
    asyncio.run(_serve(ready))


async def measure(port: int, rate: float, seconds: float) -> dict[str, float]:
    """Requests a second that were answered, latency (milliseconds) and the share of a core that it took."""
    url = f"http://127.0.0.1:{port}"
    recorder = Recorder(None, RunClock())
    async with open_client(Target("local", url, {}, "postgresql")) as client:
        operations = Operations(Random(1), tuple("abcdefgh"), "bench")
        workload = Workload(client, recorder, operations, url, rate, Random(2))
        cpu, wall = time.process_time(), time.monotonic()
        running = asyncio.create_task(workload.run())
        await asyncio.sleep(seconds)
        workload.stop()
        await running
        await workload.drain(10)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    done = [o for o in recorder.history().operations if o.outcome == "ok"]
    found = latencies(done)
    return {
        "rate": rate,
        "answeredPerSecond": round(len(done) / wall, 1),
        "coreShare": round(cpu / wall, 3),
        "coreMillisecondsARequest": round(1000 * cpu / max(1, len(done)), 2),
        "p50Milliseconds": round(percentile(found, 0.5) / 1e6, 1),
        "p99Milliseconds": round(percentile(found, 0.99) / 1e6, 1),
    }


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_server, args=(there,), daemon=True)
    server.start()
    try:
        print(json.dumps(asyncio.run(measure(here.recv(), arguments.rate, arguments.seconds))))  # noqa: T201
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
