"""All proxies of a cluster, in a process of their own, told what to do through a Unix socket.

A process of their own because the load generator must not slow down the traffic between database nodes, nor the other
way round.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chronicle_chaos.local.binaries import chronicle
from chronicle_chaos.local.lines import ask, serve
from chronicle_chaos.local.patroni.outlet import Outlet
from chronicle_chaos.local.process import Command, SupervisedProcess
from chronicle_chaos.local.tcp_proxy import Mode, TcpProxy
from chronicle_chaos.local.waiting import until


class Proxies:
    """The proxies of a cluster, as seen from outside their process. `routes` maps a proxy's port to its upstream;
    `outlet` is the port of an `Outlet` by which a program reaches the upstreams through their proxies."""

    def __init__(self, control: Path, log: Path, routes: Mapping[int, int], outlet: int | None = None) -> None:
        self._socket = control
        arguments = [str(chronicle()), "local-proxies", str(self._socket)]
        arguments += [f"{port}:{upstream}" for port, upstream in routes.items()]
        arguments += [] if outlet is None else ["--outlet", str(outlet)]
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
        await ask(self._socket, mode=mode)


async def run(socket: Path, routes: Mapping[int, int], outlet_port: int | None = None) -> None:
    """Be that process: forward until SIGTERM or SIGINT. Raises OSError where a port or the socket is taken."""
    proxies = [TcpProxy(port, upstream) for port, upstream in routes.items()]
    for proxy in proxies:
        await proxy.start()
    outlet = None
    if outlet_port is not None:
        outlet = Outlet(outlet_port, {upstream: port for port, upstream in routes.items()})
        await outlet.start()

    async def obey(request: Mapping[str, Any]) -> None:
        mode = Mode(request["mode"])
        for proxy in proxies:
            await proxy.set_mode(mode)

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await serve(socket, obey)
    await ended.wait()
    server.close()
    if outlet is not None:
        await outlet.stop()
    for proxy in proxies:
        await proxy.stop()
