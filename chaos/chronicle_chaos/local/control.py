"""How an injector, in this process or another, reaches a local cluster: requests as lines of JSON on a Unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chronicle_chaos.errors import ChaosError

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


class ControlFailed(ChaosError):
    """The cluster did not do what it was told, or is gone."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a cluster. `pid` None: it does not run. `started_at` in seconds since the epoch. `peers` is the
    port by which others of its kind in its region reach it, `crossing` the one by which those of the other region do.
    """

    name: str
    component: str
    region: str
    port: int
    url: str
    pid: int | None
    started_at: float
    peers: int | None = None
    crossing: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The client's side. Every method raises ControlFailed where the cluster cannot be reached or refuses."""

    socket: Path

    async def instances(self, component: str | None = None) -> list[Instance]:
        """What the cluster consists of, as it is now."""
        found = [Instance(**item) for item in await self._ask(op="instances")]
        return [i for i in found if component is None or i.component == component]

    async def kill(self, name: str, *, keep_away: bool) -> int | None:
        """SIGKILL one; the pid that was hit."""
        pid: int | None = await self._ask(op="kill", name=name, keep_away=keep_away)
        return pid

    async def release(self, name: str) -> None:
        """Let one that was kept away run again."""
        await self._ask(op="release", name=name)

    async def set_links(self, mode: str) -> None:
        """Put every link between the regions into a mode of `tcp_proxy.Mode`."""
        await self._ask(op="links", mode=mode)

    async def _ask(self, **request: Any) -> Any:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self.socket), limit=1 << 20)
        except OSError as error:
            raise ControlFailed(
                f"no local cluster answers at {self.socket} ({error.strerror}); start one with: chronicle up"
            ) from error
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline() or b'{"error": "it hung up"}')
        finally:
            writer.close()
        if "error" in answer:
            raise ControlFailed(f"{request['op']}: {answer['error']}")
        return answer["result"]


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Listen for requests, readable by the owner alone, and answer each with what `handle` returns or raises."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    answer = {"result": await handle(json.loads(line))}
                except (ChaosError, KeyError, ValueError, OSError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(converse, str(path), limit=1 << 20)
    path.chmod(0o600)  # noqa: ASYNC240 - one system call on a local socket
    return server
