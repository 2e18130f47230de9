"""A closed-loop HTTP/1.1 client, as lean as Python allows, in a process of its own.

Run by ledger_bench.py as `python http_client.py JSON`; prints one line of JSON. It measures throughput with a fixed
number of requests under way; it is no open-loop client, so its latencies say how long an answer takes at that
concurrency, not at a given rate.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import uvloop


@dataclass(slots=True)
class Load:
    """What to send, until when, and what came of it."""

    base: str
    accounts: list[str]
    hot: bool
    batch: int
    prefix: str
    ends: float
    random: random.Random
    sent: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)
    first_failure: str = ""

    def request(self) -> bytes:
        """The next request."""
        self.sent += 1
        key = f"{self.prefix}-{self.sent}"
        if self.batch:
            items = ",".join([self._item(f"{key}-{i}") for i in range(self.batch)])
            body = '{"atomic":false,"transactions":[' + items + "]}"
            path = "/v1/transactions:batch"
        else:
            source, destination = self._pair()
            body = f'{{"source":"{source}","destination":"{destination}","amount":1}}'
            path = "/v1/transfers"
        return (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def _pair(self) -> tuple[str, str]:
        accounts = self.accounts
        pick = self.random.random
        if self.hot:
            return accounts[0], accounts[1 + int(pick() * (len(accounts) - 1))]
        first = int(pick() * len(accounts))
        second = int(pick() * (len(accounts) - 1))
        return accounts[first], accounts[second + (second >= first)]

    def _item(self, key: str) -> str:
        source, destination = self._pair()
        return (
            f'{{"type":"transfer","idempotency_key":"{key}","source":"{source}","destination":"{destination}",'
            '"amount":1}'
        )

    def answered(self, seconds: float, status: bytes, body: bytes) -> None:
        """Note an answer."""
        self.latencies.append(seconds)
        bad = self.batch - body.count(b'"status":201') if self.batch else int(status != b"201")
        if bad:
            self.failed += bad
            self.first_failure = self.first_failure or body[:300].decode(errors="replace")


class Client(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends again."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self._load = load
        self._done = done
        self._buffer = b""
        self._began = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Collect an answer, and go on when it is whole."""
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        fields = self._buffer[: head + 2].lower()
        mark = fields.find(b"content-length: ") + 16
        length = int(fields[mark : fields.find(b"\r\n", mark)])
        if len(self._buffer) < head + 4 + length:
            return
        now = time.perf_counter()
        self._load.answered(now - self._began, self._buffer[9:12], self._buffer[head + 4 :])
        self._buffer = b""
        if now < self._load.ends:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, or a failure."""
        if exc is not None:
            self._load.failed += 1
            self._load.first_failure = self._load.first_failure or repr(exc)
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._load.request())


async def run(options: dict[str, Any]) -> dict[str, Any]:
    """One measurement."""
    began = time.perf_counter()
    load = Load(
        base=options["base"],
        accounts=options["accounts"],
        hot=options["hot"],
        batch=options["batch"],
        prefix=options["prefix"],
        ends=began + options["seconds"],
        random=random.Random(options["prefix"]),
    )
    url = urlsplit(load.base)
    loop = asyncio.get_running_loop()
    ended = [loop.create_future() for _ in range(options["concurrency"])]
    for done in ended:
        await loop.create_connection(partial(Client, load, done), url.hostname or "127.0.0.1", url.port or 80)
    await asyncio.gather(*ended)
    elapsed = time.perf_counter() - began
    latencies = sorted(load.latencies)
    transfers = len(latencies) * max(1, load.batch) - load.failed
    return {
        "per_second": transfers / elapsed,
        "transfers": transfers,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000,
        "failed": load.failed,
        "first_failure": load.first_failure,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.load(sys.stdin)))) + "\n")
