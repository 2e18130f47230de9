"""Requests and answers as lines of JSON on a Unix socket that its owner alone can reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chronicle_chaos.errors import ChaosError

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]
LINE_LIMIT = 1 << 20
"""Bytes of a request or an answer."""


class Refused(ChaosError):
    """The other side did not do what it was asked; the message says why."""


async def ask(socket: Path, **request: Any) -> Any:
    """Return the answer to a request. Raises OSError where nobody listens, and Refused."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=LINE_LIMIT)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline() or b'{"error": "it hung up"}')
    finally:
        writer.close()
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


async def serve(socket: Path, handle: Handler) -> asyncio.Server:
    """Listen for requests, and answer each with what `handle` returns or raises."""

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

    server = await asyncio.start_unix_server(converse, str(socket), limit=LINE_LIMIT)
    socket.chmod(0o600)  # noqa: ASYNC240 - one system call on a local socket
    return server
