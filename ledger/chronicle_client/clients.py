"""`Client` and `AsyncClient`: the same operations, over httpx, with the same rules for another attempt."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from chronicle_client.answers import Page
from chronicle_client.errors import ClientError, NoAnswer, problem
from chronicle_client.operations import Operation, Pages
from chronicle_client.retries import Retries

T = TypeVar("T")

ATTEMPT_SECONDS = 10.0
"""How long one attempt may take: longer than the API's own deadline of 8 s, so that its answer is heard."""


class Client:
    """A client for synchronous code; safe to share between threads.

        with Client("https://ledger.example", key="…", ca_file="ca.crt") as ledger:
            ledger.send(deposit(account.id, Money(500, "EUR")))

    `key` is the bearer key, None where the API asks for none. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        ca_file: str | None = None,
        retries: Retries | None = None,
        attempt_seconds: float = ATTEMPT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Open no connection yet. Raises OSError or ssl.SSLError where `ca_file` cannot be used."""
        self._retries = retries or Retries()
        self._http = httpx.Client(**_options(url, key, ca_file, attempt_seconds), transport=transport)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(self, operation: Operation[T]) -> T:
        """Carry out an operation and return its answer.

        Raises a `Problem` that says why not, or NoAnswer where its outcome is unknown when the deadline is over.
        """
        began, attempt = time.monotonic(), 1
        while True:
            after = 0.0
            try:
                answer = self._http.request(**_request(operation))
                after = _retry_after(answer)
                return _read(operation, answer)
            except httpx.TransportError as error:
                failure: ClientError = _no_answer(operation, error)
            except ClientError as error:
                failure = error
            wait = self._retries.pause(failure, attempt, time.monotonic() - began, after)
            if wait is None:
                raise failure
            time.sleep(wait)
            attempt += 1

    def iterate(self, pages: Pages[T]) -> Iterator[T]:
        """Yield what is on all pages, reading each as it is needed. Raises as `send` does."""
        cursor: str | None = None
        while True:
            page: Page[T] = self.send(pages.page(cursor))
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return


class AsyncClient:
    """A client for asyncio; it takes what `Client` takes."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        ca_file: str | None = None,
        retries: Retries | None = None,
        attempt_seconds: float = ATTEMPT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open no connection yet. Raises OSError or ssl.SSLError where `ca_file` cannot be used."""
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(**_options(url, key, ca_file, attempt_seconds), transport=transport)

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def send(self, operation: Operation[T]) -> T:
        """Carry out an operation and return its answer. Raises as `Client.send` does."""
        began, attempt = time.monotonic(), 1
        while True:
            after = 0.0
            try:
                answer = await self._http.request(**_request(operation))
                after = _retry_after(answer)
                return _read(operation, answer)
            except httpx.TransportError as error:
                failure: ClientError = _no_answer(operation, error)
            except ClientError as error:
                failure = error
            wait = self._retries.pause(failure, attempt, time.monotonic() - began, after)
            if wait is None:
                raise failure
            await asyncio.sleep(wait)
            attempt += 1

    async def iterate(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield what is on all pages, reading each as it is needed. Raises as `send` does."""
        cursor: str | None = None
        while True:
            page: Page[T] = await self.send(pages.page(cursor))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return


def _options(url: str, key: str | None, ca_file: str | None, attempt_seconds: float) -> dict[str, Any]:
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # A redirect would carry the key and the posting to another address.
    return {
        "base_url": url, "headers": headers, "verify": verify, "timeout": attempt_seconds, "follow_redirects": False,
    }  # fmt: skip


def _request(operation: Operation[Any]) -> dict[str, Any]:
    headers = {"Idempotency-Key": operation.key} if operation.key else {}
    content = None
    if operation.body is not None:
        content = msgspec.json.encode(operation.body)
        headers["Content-Type"] = "application/json"
    return {
        "method": operation.method, "url": operation.path, "params": operation.query or None, "content": content,
        "headers": headers,
    }  # fmt: skip


def _read(operation: Operation[T], answer: httpx.Response) -> T:
    if operation.path == "/health" and answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        pass  # down is an answer, too
    elif not answer.is_success:
        raise problem(answer.status_code, answer.content)
    try:
        return msgspec.json.decode(answer.content, type=operation.answer)
    except msgspec.DecodeError as error:
        raise _no_answer(operation, error) from error


def _no_answer(operation: Operation[Any], error: Exception) -> NoAnswer:
    said = str(error) or type(error).__name__
    ask = "; its outcome is unknown: send the same operation again" if operation.key else ""
    return NoAnswer(f"{operation.method} {operation.path} was not answered: {said}{ask}", operation.key)


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds of Retry-After, 0 where there is none or it is a date."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
