"""The ledger's HTTP API as a client sees it: every request ends in an answer, never in an exception of the network."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import msgspec

from chronicle_chaos.target import Target

Kind = Literal["ok", "refused", "unknown", "not-sent"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` None means that no answer came; `sent` False that the request never left;
    `timed_out` that nothing came in the time that it had."""

    status: int | None
    body: Any = None
    replayed: bool = False
    retry_after: float | None = None
    forwarded_attempts: int = 1
    error: str | None = None
    sent: bool = True
    timed_out: bool = False

    @property
    def code(self) -> str | None:
        """The machine code of a problem."""
        return self.body.get("code") if isinstance(self.body, Mapping) else None

    @property
    def kind(self) -> Kind:
        """What the answer says about the request: done, refused for good, nobody knows, or it never left.

        408, 429, 5xx and a request in progress ask for a retry with the same key, whose outcome is not known yet.
        """
        if self.status is None:
            return "unknown" if self.sent else "not-sent"
        if self.status < 400:
            return "ok"
        if self.status in {408, 425, 429} or self.status >= 500 or self.code == "request_in_progress":
            return "unknown"
        return "refused"


@dataclass(frozen=True, slots=True)
class LedgerClient:
    """Requests to a target. `url` in each method is the load balancer's or an instance's, without a path."""

    session: aiohttp.ClientSession

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        timeout: float,  # noqa: ASYNC109 - the deadline of one attempt, in seconds; callers have their own around it
    ) -> Answer:
        """Send one attempt and say what came of it."""
        headers = {} if key is None else {"Idempotency-Key": key}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        try:
            async with self.session.request(
                method, url, data=data, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as response:
                raw = await response.read()
                return Answer(
                    status=response.status,
                    body=_decode(raw),
                    replayed=response.headers.get("Idempotent-Replayed", "").lower() == "true",
                    retry_after=_number(response.headers.get("Retry-After")),
                    forwarded_attempts=int(_number(response.headers.get("Chronicle-Attempts")) or 1),
                )
        except aiohttp.ClientConnectorError as error:
            return Answer(None, error=f"connect: {error.os_error.strerror or error}", sent=False)
        except TimeoutError:
            return Answer(None, error=f"no answer within {timeout:g} s", timed_out=True)
        except (aiohttp.ClientError, OSError) as error:
            return Answer(None, error=f"{type(error).__name__}: {error}")

    async def get(self, url: str, *, timeout: float = 10.0) -> Answer:  # noqa: ASYNC109
        """Read, trying again while the answer is unknown, until `timeout` seconds have passed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        pause = 0.05
        while True:
            answer = await self.request("GET", url, timeout=max(0.1, until - loop.time()))
            if answer.kind in {"ok", "refused"} or loop.time() + pause >= until:
                return answer
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)


@asynccontextmanager
async def open_client(target: Target) -> AsyncIterator[LedgerClient]:
    """A client with the target's key and authority; connections are kept open and their number is not limited, so
    that nobody queues on this side of the wire."""
    context: ssl.SSLContext | bool = True
    if target.ca_file is not None:
        context = ssl.create_default_context(cafile=target.ca_file)
    headers = {} if target.api_key is None else {"Authorization": f"Bearer {target.api_key}"}
    connector = aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=5)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield LedgerClient(session)


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return {"detail": raw[:200].decode("utf-8", "replace")}


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
