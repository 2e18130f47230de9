"""A small HTTP/1.1 load balancer: health checks, and a second try elsewhere for what may safely be tried again.

Safe to try again are GET and HEAD (RFC 9110, 9.2.2) and whatever carries an Idempotency-Key, because the ledger makes
of a repeated key one posting; a batch carries a key in each of its items. Anything else that may have reached a replica
is answered with 502, never sent twice.
Every answer has `Chronicle-Attempts`: how many replicas were asked.

Run as: python -m chronicle_chaos.local.load_balancer PORT URL...
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from chronicle_chaos.local.ports import LOOPBACK

CHECK_EVERY_SECONDS = 0.5
CHECK_TIMEOUT_SECONDS = 2.0
CONNECT_TIMEOUT_SECONDS = 1.0
ATTEMPT_TIMEOUT_SECONDS = 12.0
"""Longer than a replica's own request deadline, so that its answer, not our impatience, is what a client sees."""
PROOF_TIMEOUT_SECONDS = 70.0
"""A proof takes as long as the ledger is large; the scenarios wait for it for 60 seconds."""
BODY_LIMIT = 4 << 20
"""More than the ledger takes (1 MiB), so that the ledger's own 413 reaches the client; in bytes."""
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length",
})  # fmt: skip
ATTEMPTS_HEADER = "Chronicle-Attempts"


@dataclass(slots=True, eq=False)
class Replica:
    """One API instance. `ready` is what its last health check, or the last broken connection, said."""

    url: str
    ready: bool = False


class LoadBalancer:
    """Spreads requests over the ready replicas in turn; where none is ready, over all, so that errors are the API's."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.replicas = [Replica(url.rstrip("/")) for url in urls]
        self._turn = itertools.count()
        self._session: aiohttp.ClientSession | None = None
        self._checks: list[asyncio.Task[None]] = []

    def application(self) -> web.Application:
        """The aiohttp application that serves it."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.cleanup_ctx.append(self._life)
        return app

    async def _life(self, app: web.Application) -> AsyncIterator[None]:
        del app
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            self._session = session
            self._checks = [asyncio.create_task(self._check(replica)) for replica in self.replicas]
            yield
            for check in self._checks:
                check.cancel()
            await asyncio.gather(*self._checks, return_exceptions=True)

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client side; there while the application runs."""
        if self._session is None:
            raise RuntimeError("the load balancer is not running")
        return self._session

    async def _check(self, replica: Replica) -> None:
        while True:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self.session.get(replica.url + "/readyz") as answer:
                    replica.ready = answer.status == 200
            except (aiohttp.ClientError, OSError, TimeoutError):
                replica.ready = False
            await asyncio.sleep(CHECK_EVERY_SECONDS)

    def _order(self) -> list[Replica]:
        """Whom to ask, in order: the ready ones from the next in turn, then, as a last resort, the others."""
        start = next(self._turn) % len(self.replicas)
        turned = self.replicas[start:] + self.replicas[:start]
        return sorted(turned, key=lambda replica: not replica.ready)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        repeatable = _repeatable(request)
        attempts = 0
        error = "no replica"
        refusal: aiohttp.ClientResponse | None = None
        for replica in self._order():
            attempts += 1
            try:
                answer = await self._forward(request, replica, body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as unreachable:
                # Nothing was sent, so that anything may be tried elsewhere.
                replica.ready, error = False, f"{replica.url}: {unreachable}"
                continue
            except (aiohttp.ClientError, OSError) as broken:
                if not isinstance(broken, TimeoutError):  # our own impatience says nothing about the replica
                    replica.ready = False
                error = f"{replica.url}: {type(broken).__name__}"
                if repeatable:
                    continue
                break
            if answer.status == 503 and repeatable:
                refusal = answer
                continue
            return await self._pass_on(request, answer, attempts)
        # What a replica said of itself says more than we could.
        return _problem(error, attempts) if refusal is None else await self._pass_on(request, refusal, attempts)

    async def _forward(self, request: web.Request, replica: Replica, body: bytes) -> aiohttp.ClientResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        async with asyncio.timeout(_patience(request)):
            answer = await self.session.request(
                request.method, replica.url + request.path_qs, data=body or None, headers=headers, allow_redirects=False
            )
            if not _is_stream(answer):
                # Read whole before a byte goes on: a replica that dies in the middle of an answer is tried elsewhere.
                await answer.read()
            return answer

    async def _pass_on(self, request: web.Request, answer: aiohttp.ClientResponse, attempts: int) -> web.StreamResponse:
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
        headers.append((ATTEMPTS_HEADER, str(attempts)))
        response: web.StreamResponse
        if _is_stream(answer):
            response = web.StreamResponse(status=answer.status)
            response.headers.extend(headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
        async with answer:
            response = web.Response(status=answer.status, body=await answer.read())
        response.headers.extend(headers)
        return response


def _repeatable(request: web.Request) -> bool:
    if request.method in {"GET", "HEAD"} or "Idempotency-Key" in request.headers:
        return True
    return request.method == "POST" and request.path == "/v1/transactions:batch"


def _patience(request: web.Request) -> float:
    """Seconds that a replica may take to answer."""
    return PROOF_TIMEOUT_SECONDS if request.path == "/v1/proof" else ATTEMPT_TIMEOUT_SECONDS


def _is_stream(answer: aiohttp.ClientResponse) -> bool:
    return answer.headers.get("Content-Type", "").startswith("text/event-stream")


def _problem(error: str, attempts: int) -> web.Response:
    """RFC 9457; the same shape as the ledger's own refusals."""
    body = {
        "type": "about:blank", "title": "Bad gateway", "status": 502, "code": "no_replica_answered",
        "detail": f"No API replica answered ({error}). Retry with the same Idempotency-Key.",
    }  # fmt: skip
    return web.Response(
        status=502, body=json.dumps(body).encode(), content_type="application/problem+json",
        headers={"Retry-After": "1", ATTEMPTS_HEADER: str(attempts)},
    )  # fmt: skip


async def _serve(port: int, urls: Sequence[str]) -> None:
    runner = web.AppRunner(LoadBalancer(urls).application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port, reuse_address=True).start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2:]))
