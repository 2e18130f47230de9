"""All proxies of a cluster, in a process of their own, told what to do by lines of JSON on a Unix socket.

A process of their own because the load generator must not slow down the traffic between database nodes, nor the other
way round. Run as: python -m chronicle_chaos.local.proxies SOCKET PORT:UPSTREAM...
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from chronicle_chaos.local.process import Command, SupervisedProcess
from chronicle_chaos.local.tcp_proxy import Mode, TcpProxy
from chronicle_chaos.local.waiting import until


class Proxies:
    """The proxies of a cluster, as seen from outside their process. `routes` maps a proxy's port to its upstream."""

    def __init__(self, control: Path, log: Path, routes: dict[int, int]) -> None:
        self._socket = control
        arguments = [sys.executable, "-m", __name__, str(self._socket)]
        arguments += [f"{port}:{upstream}" for port, upstream in routes.items()]
        self.process = SupervisedProcess("proxies", Command(arguments), log)

    async def start(self) -> None:
        """Start, and wait until all listen. Raises ChaosError."""
        self._socket.unlink(missing_ok=True)  # one that was left by SIGKILL would look like readiness
        await self.process.start()

        async def listening() -> bool:
            return self._socket.exists()

        await until(listening, "the proxies listen", seconds=20, check=self.process.check)

    async def set_mode(self, mode: Mode) -> None:
        """Put every proxy into `mode`. Raises OSError where the process is gone."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        writer.write(json.dumps({"mode": mode}).encode() + b"\n")
        await writer.drain()
        answer = await reader.readline()
        writer.close()
        if json.loads(answer or b"{}").get("mode") != mode:
            raise OSError(f"the proxies did not take mode {mode}: {answer!r}")


async def _serve(path: str, routes: list[tuple[int, int]]) -> None:
    proxies = [TcpProxy(port, upstream) for port, upstream in routes]
    for proxy in proxies:
        await proxy.start()

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            mode = Mode(json.loads(line)["mode"])
            for proxy in proxies:
                await proxy.set_mode(mode)
            writer.write(json.dumps({"mode": mode}).encode() + b"\n")
            await writer.drain()
        writer.close()

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await asyncio.start_unix_server(obey, path)
    await ended.wait()
    server.close()
    for proxy in proxies:
        await proxy.stop()


def _route(text: str) -> tuple[int, int]:
    port, upstream = text.split(":")
    return int(port), int(upstream)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], [_route(text) for text in sys.argv[2:]]))
