"""A small HTTP/1.1 load balancer: health checks, and a second try elsewhere for what may safely be tried again.

Safe to try again are reads (RFC 9110, 9.2.1) and what has an Idempotency-Key, of which the ledger makes one posting;
a batch carries a key in each of its items. What follows from which outcome: `retry_rules.RULES`.
Every answer has `Chronicle-Attempts`: how many replicas were asked.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from chronicle_chaos.local import retry_rules
from chronicle_chaos.local.balancer.client_side import ClientConnection, Request, problem
from chronicle_chaos.local.balancer.replica_side import Answer, Replica, ReplicaConnection
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.retry_rules import OVERLOAD, Outcome, may_repeat

CHECK_EVERY_SECONDS = 0.5
CHECK_TIMEOUT_SECONDS = 2.0
ATTEMPT_TIMEOUT_SECONDS = float(retry_rules.ATTEMPT_SECONDS)
PROOF_TIMEOUT_SECONDS = float(retry_rules.PROOF_SECONDS)
DRAIN_SECONDS = 5.0
"""After SIGTERM, requests under way have so long to be answered."""


class LoadBalancer:
    """Spreads requests over the ready replicas in turn; where none is ready, over all, so that errors are the API's."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.replicas = [Replica(url) for url in urls]
        self._orders = [self.replicas[start:] + self.replicas[:start] for start in range(len(self.replicas))]
        self._turn = -1
        self._connections: set[ClientConnection] = set()
        self._exchanges: set[Exchange] = set()

    @asynccontextmanager
    async def serving(self, port: int, *, drain_seconds: float = DRAIN_SECONDS) -> AsyncIterator[None]:
        """Serve on a loopback port; afterwards accept no more, and answer what is under way. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: ClientConnection(self._serve, self._connections), LOOPBACK, port, reuse_address=True
        )
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
        async with aiohttp.ClientSession(connector=connector) as session:
            tasks = [asyncio.create_task(self._check(session, replica)) for replica in self.replicas]
            tasks.append(asyncio.create_task(self._tidy()))
            try:
                yield
            finally:
                server.close()
                await self._drain(drain_seconds)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for replica in self.replicas:
                    replica.close()
                await asyncio.sleep(0)  # connections that were broken off say so in the loop's next turn

    async def _check(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        while True:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), session.get(replica.url + "/readyz") as answer:
                    replica.ready = answer.status == 200
            except (aiohttp.ClientError, OSError, TimeoutError):
                replica.ready = False
            await asyncio.sleep(CHECK_EVERY_SECONDS)

    async def _tidy(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            now = loop.time()
            for connection in list(self._connections):
                connection.check(now)
            for replica in self.replicas:
                replica.tidy(now)

    async def _drain(self, seconds: float) -> None:
        for exchange in list(self._exchanges):
            exchange.end_stream()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            await asyncio.wait([connection.gone for connection in self._connections], timeout=seconds)
        for connection in list(self._connections):
            connection.break_off()

    def _serve(self, client: ClientConnection, request: Request) -> Exchange:
        exchange = Exchange(client, request, self._order(), self._exchanges)
        self._exchanges.add(exchange)
        # An answer may come at once where no replica is there; the client must know the exchange before.
        exchange.begin()
        return exchange

    def _order(self) -> list[Replica]:
        """Whom to ask, in order: the ready ones from the next in turn, then, as a last resort, the others."""
        self._turn = (self._turn + 1) % len(self.replicas)
        order = self._orders[self._turn]
        if all(replica.ready for replica in order):
            return order
        return sorted(order, key=lambda replica: not replica.ready)


class Exchange:
    """A request on its way: to one replica, to another where the rules let it go there, and the answer back."""

    __slots__ = (
        "_attempts", "_client", "_connection", "_error", "_exchanges", "_order", "_over", "_patience", "_refusal",
        "_request", "_streams", "_timer",
    )  # fmt: skip

    def __init__(
        self, client: ClientConnection, request: Request, order: list[Replica], exchanges: set[Exchange]
    ) -> None:
        self._client = client
        self._request = request
        self._order = order
        self._exchanges = exchanges
        self._attempts = 0
        self._connection: ReplicaConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: Answer | None = None
        self._error = ""
        self._over = self._streams = False
        self._patience = PROOF_TIMEOUT_SECONDS if request.path == b"/v1/proof" else ATTEMPT_TIMEOUT_SECONDS

    def begin(self) -> None:
        """Ask the next replica."""
        replica = self._order[self._attempts]
        self._attempts += 1
        request = self._request
        length = b"content-length: %d\r\n" % len(request.body) if request.framed else b""
        host = b"" if request.named_host else replica.host_line
        replica.ask(self, b"%b%b%b\r\n%b" % (request.head, host, length, request.body), head=request.method == b"HEAD")

    def abandon(self) -> None:
        """The client has gone: its request ends here, and so does the connection that carries it."""
        self._close()
        if self._connection is not None:
            self._connection.close()

    def hold(self, *, on: bool) -> None:
        """Take a stream no faster than the client does."""
        if self._streams and self._connection is not None:
            self._connection.hold(on=on)

    def end_stream(self) -> None:
        """End an answer that has no end of its own."""
        if self._streams and not self._over:
            self.abandon()
            self._client.end(self._request)

    def sent(self, connection: ReplicaConnection) -> bool:
        """The attempt begins, unless the client has gone."""
        if self._over:
            return False
        self._connection = connection
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._timed_out)
        return True

    def answered(self, answer: Answer) -> None:
        """Pass it on, unless it says that another replica may do better."""
        if answer.status != 503:
            self._reply(answer)
            return
        self._refusal = answer
        self._failed(_unavailable(answer))

    def begun(self, answer: Answer) -> None:
        """Pass the head of a stream on."""
        self._stop_waiting()
        self._streams = True
        self._client.begin(answer, self._attempts, self._request)

    def piece(self, data: bytes) -> None:
        """Pass a piece of it on."""
        self._client.piece(data, self._request)

    def ended(self) -> None:
        """The stream has ended."""
        self._close()
        self._client.end(self._request)

    def unreachable(self, reason: str) -> None:
        """The replica has seen nothing of the request."""
        self._replica.ready = False
        self._error = f"{self._replica.url}: {reason}"
        self._failed(Outcome.UNREACHABLE)

    def broken(self) -> None:
        """The replica may have done what it was asked."""
        self._replica.ready = False
        if self._streams:
            self._close()
            self._client.break_off()
            return
        self._error = f"{self._replica.url}: the connection broke"
        self._failed(Outcome.BROKEN)

    @property
    def _replica(self) -> Replica:
        return self._order[self._attempts - 1]

    def _timed_out(self) -> None:  # our own impatience says nothing about the replica
        if self._connection is not None:
            self._connection.close()
        self._error = f"{self._replica.url}: TimeoutError"
        self._failed(Outcome.TIMED_OUT)

    def _failed(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._stop_waiting()
        self._connection = None
        if self._attempts < len(self._order) and may_repeat(outcome, safe=self._request.safe):
            self.begin()
        else:  # what a replica said of itself says more than we could
            self._reply(self._refusal or _no_answer(self._error))

    def _reply(self, answer: Answer) -> None:
        self._close()
        self._client.reply(answer, self._attempts, self._request)

    def _close(self) -> None:
        self._over = True
        self._stop_waiting()
        self._exchanges.discard(self)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _unavailable(answer: Answer) -> Outcome:
    try:
        code = json.loads(answer.body)["code"]
    except (ValueError, TypeError, KeyError):
        code = None
    return Outcome.OVERLOADED if isinstance(code, str) and code in OVERLOAD else Outcome.UNAVAILABLE


def _no_answer(error: str) -> Answer:
    detail = f"No API replica answered ({error}). Retry with the same Idempotency-Key."
    return problem(502, "no_replica_answered", detail, b"retry-after: 1\r\n")


async def run(port: int, urls: Sequence[str]) -> None:
    """Serve on a loopback port until SIGTERM or SIGINT. Raises OSError where the port is taken."""
    ended = asyncio.Event()
    async with LoadBalancer(urls).serving(port):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
