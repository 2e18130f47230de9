"""`Client` and `AsyncClient`: the same operations, over httpx, with the same rules for another attempt."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from chronicle_client.answers import Page
from chronicle_client.errors import ClientError, NoAnswer, ServerFault, leaves_outcome_unknown, problem
from chronicle_client.operations import Operation, Pages
from chronicle_client.retries import Retries

T = TypeVar("T")

ATTEMPT_SECONDS = 10.0
"""How long one attempt may wait for the network: longer than the API's own deadline of 8 s, so that its answer is
heard."""

KEY_VARIABLE = "CHRONICLE_API_KEY"
"""The environment variable with the bearer key, as for scenario runs."""


class Client:
    """A client for synchronous code; safe to share between threads.

        with Client("https://ledger.example", key="…", ca_file="ca.crt") as ledger:
            ledger.send(deposit(account.id, Money(500, "EUR")))

    `key` is the bearer key; None takes that of CHRONICLE_API_KEY, and shows none where that is not set. `transport`
    replaces the network in tests.
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
        """Open no connection yet.

        Raises ValueError where `url` is none, and OSError or ssl.SSLError where `ca_file` cannot be used.
        """
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
        attempts = _Attempts(operation, self._retries)
        while True:
            after = 0.0
            try:
                answer = self._http.request(**_request(operation))
                after = _retry_after(answer)
                return _read(operation, answer)
            except httpx.RequestError as error:
                failure: ClientError = _no_answer(operation, error)
            except ClientError as error:
                failure = error
            time.sleep(attempts.pause(failure, after))

    def iterate(self, pages: Pages[T]) -> Iterator[T]:
        """Yield what is on all pages, reading each as it is needed.

        Raises as `send` does, and ServerFault `row_unreadable` after a page that leaves out rows (`Page.unreadable`).
        """
        cursor: str | None = None
        while True:
            page: Page[T] = self.send(pages.page(cursor))
            yield from page.items
            _check_readable(page)
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
        """Open no connection yet.

        Raises ValueError where `url` is none, and OSError or ssl.SSLError where `ca_file` cannot be used.
        """
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
        attempts = _Attempts(operation, self._retries)
        while True:
            after = 0.0
            try:
                answer = await self._http.request(**_request(operation))
                after = _retry_after(answer)
                return _read(operation, answer)
            except httpx.RequestError as error:
                failure: ClientError = _no_answer(operation, error)
            except ClientError as error:
                failure = error
            await asyncio.sleep(attempts.pause(failure, after))

    async def iterate(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield what is on all pages, reading each as it is needed.

        Raises as `send` does, and ServerFault `row_unreadable` after a page that leaves out rows (`Page.unreadable`).
        """
        cursor: str | None = None
        while True:
            page: Page[T] = await self.send(pages.page(cursor))
            for item in page.items:
                yield item
            _check_readable(page)
            if (cursor := page.next_cursor) is None:
                return


class _Attempts:
    """The attempts at one operation: when the next one begins, and what is known after the last."""

    def __init__(self, operation: Operation[Any], retries: Retries) -> None:
        self._posts = operation.key is not None
        self._retries = retries
        self._began = time.monotonic()
        self._failed = 0
        self._unknown = False

    def pause(self, failure: ClientError, after: float) -> float:
        """Return the seconds before the next attempt; raise `failure` where there is none."""
        self._failed += 1
        self._unknown |= self._posts and leaves_outcome_unknown(failure)
        failure.outcome_unknown = self._unknown
        wait = self._retries.pause(failure, self._failed, time.monotonic() - self._began, after)
        if wait is None:
            raise failure
        return wait


def _check_readable(page: Page[Any]) -> None:
    if page.unreadable:
        detail = f"{len(page.unreadable)} rows of a page cannot be read; `chronicle proof` locates what is damaged"
        raise ServerFault(httpx.codes.OK, "row_unreadable", detail, {"unreadable": page.unreadable})


def _options(url: str, key: str | None, ca_file: str | None, attempt_seconds: float) -> dict[str, Any]:
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    if httpx.URL(url).scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is no address of an API: it begins with https:// or http://")
    key = os.environ.get(KEY_VARIABLE) if key is None else key
    headers = {"User-Agent": f"chronicle-client/{version('chronicle-ledger')}"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
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
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return NoAnswer(f"{operation.method} {operation.path} was not answered: {said}", operation.key, sent=sent)


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds of Retry-After, 0 where there is none or it is a date."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
