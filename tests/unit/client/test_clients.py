"""What is sent, what is sent again, and what comes of it; for both clients."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest

from chronicle_client import (
    AsyncClient,
    Client,
    InvalidRequest,
    Money,
    NoAnswer,
    NotAllowed,
    NotFound,
    Operation,
    Pages,
    Problem,
    Refused,
    Retries,
    ServerFault,
    Unavailable,
    accounts,
    get_account,
    get_health,
    transfer,
)

A, B = uuid.uuid4(), uuid.uuid4()
QUICK = Retries(deadline=0.5, first=0.001, longest=0.01)
Handler = Callable[[httpx.Request], httpx.Response]
Send = Callable[..., Any]


def sync(handler: Handler, operation: Operation[Any] | Pages[Any], **options: Any) -> Any:
    """Carry out an operation, or read all pages, with `Client`."""
    with Client("http://ledger", transport=httpx.MockTransport(handler), **{"retries": QUICK, **options}) as client:
        return list(client.iterate(operation)) if isinstance(operation, Pages) else client.send(operation)


def asynchronous(handler: Handler, operation: Operation[Any] | Pages[Any], **options: Any) -> Any:
    """Carry out an operation, or read all pages, with `AsyncClient`."""

    async def work() -> Any:
        transport = httpx.MockTransport(handler)
        async with AsyncClient("http://ledger", transport=transport, **{"retries": QUICK, **options}) as client:
            if isinstance(operation, Pages):
                return [item async for item in client.iterate(operation)]
            return await client.send(operation)

    return asyncio.run(work())


@pytest.fixture(params=[sync, asynchronous])
def send(request: pytest.FixtureRequest) -> Send:
    """Return each client's way to carry out an operation."""
    chosen: Send = request.param
    return chosen


def account(identity: uuid.UUID = A) -> dict[str, Any]:
    """Return an account as the API answers it, with a member that this client does not know."""
    return {
        "id": str(identity), "currency": "EUR", "kind": "customer", "balance": 5, "held": 0, "available": 5, "floor": 0,
        "version": 1, "status": "open", "metadata": {}, "created_at": "2026-03-01T00:00:00Z",
        "updated_at": "2026-03-01T00:00:00Z", "added_later": [1],
    }  # fmt: skip


def posted() -> dict[str, Any]:
    """Return a transaction as the API answers it."""
    return {
        "id": str(uuid.uuid4()), "kind": "transfer", "posted_at": "2026-03-01T00:00:00Z",
        "effective_at": "2026-03-01T00:00:00Z", "posted_by": "me", "metadata": {}, "details": {}, "reverses": None,
        "hold_id": None, "hash": "ab", "entries": [],
    }  # fmt: skip


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """Return a problem document."""
    return httpx.Response(status, json={"code": code, "detail": "why", "status": status}, headers=headers)


class Script:
    """Gives its answers in turn and then repeats the last; keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def keys(self) -> list[str | None]:
        """Return the idempotency key of each request."""
        return [it.headers.get("Idempotency-Key") for it in self.requests]


def test_a_posting_carries_its_key_its_bearer_and_whole_numbers(send: Send) -> None:
    script = Script(httpx.Response(201, json=posted()))
    made = transfer(A, B, Money(7, "EUR"), key="order-1")
    assert send(script, made, key="secret").kind == "transfer"
    (request,) = script.requests
    assert request.headers["Idempotency-Key"] == "order-1"
    assert request.headers["Authorization"] == "Bearer secret"
    assert json.loads(request.content) == {
        "amount": 7, "currency": "EUR", "source": str(A), "destination": str(B)
    }  # fmt: skip


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadError("broken off"), httpx.ConnectError("refused"), httpx.ReadTimeout("late"),
        problem(503, "database_unavailable"), problem(409, "request_in_progress"), problem(429, "too_many_streams"),
        httpx.Response(502, text="<html>bad gateway"), httpx.Response(201, text='{"id": "cut o'),
    ],
    ids=["broken off", "refused", "late", "503", "in progress", "429", "bad gateway", "cut off"],
)  # fmt: skip
def test_an_unknown_outcome_is_asked_for_again_under_the_same_key(send: Send, lost: Any) -> None:
    script = Script(lost, lost, httpx.Response(201, json=posted()))
    send(script, transfer(A, B, Money(7, "EUR")))
    assert len(script.requests) == 3
    assert len(set(script.keys)) == 1
    assert len({bytes(it.content) for it in script.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(409, "insufficient_funds"), Refused),
        (problem(404, "account_not_found"), NotFound),
        (problem(401, "unauthenticated"), NotAllowed),
        (problem(422, "idempotency_key_reused"), InvalidRequest),
        (problem(500, "internal_error"), ServerFault),
        (problem(418, "not_yet_invented"), InvalidRequest),
        (httpx.Response(404, text="no route"), NotFound),
        (httpx.Response(307, headers={"Location": "http://elsewhere/"}), InvalidRequest),
    ],
)
def test_a_refusal_is_told_at_once_and_not_repeated(send: Send, answer: httpx.Response, kind: type[Problem]) -> None:
    script = Script(answer)
    with pytest.raises(kind) as told:
        send(script, transfer(A, B, Money(7, "EUR")))
    assert type(told.value) is kind
    assert told.value.status == answer.status_code
    assert len(script.requests) == 1


def test_a_problem_keeps_its_code_its_words_and_what_depends_on_the_code(send: Send) -> None:
    body = {"code": "insufficient_funds", "detail": "has 3", "status": 409, "title": "t", "available": 3}
    with pytest.raises(Refused) as told:
        send(Script(httpx.Response(409, json=body)), transfer(A, B, Money(7, "EUR")))
    assert (told.value.code, told.value.detail, told.value.extras) == ("insufficient_funds", "has 3", {"available": 3})


def test_after_the_deadline_the_last_failure_is_told_with_the_key(send: Send) -> None:
    made = transfer(A, B, Money(7, "EUR"))
    with pytest.raises(NoAnswer, match="send the same operation again") as told:
        send(Script(httpx.ReadError("gone")), made, retries=Retries(deadline=0.05, first=0.01))
    assert told.value.key == made.key
    with pytest.raises(Unavailable, match="database_unavailable"):
        send(Script(problem(503, "database_unavailable")), made, retries=Retries(deadline=0.05, first=0.01))


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(send: Send) -> None:
    script = Script(problem(503, "overloaded", **{"Retry-After": "60"}))
    with pytest.raises(Unavailable):
        send(script, get_account(A))
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("first", "unknown"),
    [
        (httpx.ReadTimeout("late"), True), (problem(503, "database_unavailable"), True),
        (httpx.Response(502, text="bad gateway"), True), (httpx.DecodingError("no gzip"), True),
        (httpx.ConnectError("refused"), False), (problem(503, "overloaded"), False),
    ],
    ids=["late", "503", "bad gateway", "no gzip", "not connected", "overloaded"],
)  # fmt: skip
def test_a_refusal_after_an_attempt_that_may_still_post_says_so(send: Send, first: Any, unknown: bool) -> None:
    made = transfer(A, B, Money(7, "EUR"))
    with pytest.raises(Refused, match="insufficient_funds") as told:
        send(Script(first, problem(409, "insufficient_funds")), made)
    assert told.value.outcome_unknown is unknown
    assert ("send the same operation again" in str(told.value)) is unknown


def test_a_read_has_no_unknown_outcome(send: Send) -> None:
    with pytest.raises(NoAnswer) as told:
        send(Script(httpx.ReadTimeout("late")), get_account(A), retries=Retries(deadline=0))
    assert not told.value.outcome_unknown
    with pytest.raises(ServerFault) as fault:
        send(Script(problem(500, "internal_error")), transfer(A, B, Money(7, "EUR")))
    assert fault.value.outcome_unknown


def test_rows_that_a_page_leaves_out_are_told_after_those_it_has(send: Send) -> None:
    rows = [{"code": "row_unreadable", "id": str(B), "version": None}]
    body = {"accounts": [account(A)], "next_cursor": "c", "unreadable": rows}
    script = Script(httpx.Response(200, json=body))
    with pytest.raises(ServerFault, match="chronicle proof") as told:
        send(script, accounts())
    assert (told.value.code, told.value.extras) == ("row_unreadable", {"unreadable": rows})
    page = send(Script(httpx.Response(200, json=body)), accounts().page())
    assert ([it.id for it in page.items], page.next_cursor, page.unreadable) == ([A], "c", rows)


def test_the_bearer_is_that_of_the_environment_unless_one_is_given(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setenv("CHRONICLE_API_KEY", "of the environment")
    for options in ({}, {"key": "given"}, {"key": ""}):
        script = Script(httpx.Response(200, json=account()))
        send(script, get_account(A), **options)
        shown.append(script.requests[0].headers.get("Authorization"))
        assert script.requests[0].headers["User-Agent"].startswith("chronicle-client/")
    assert shown == ["Bearer of the environment", "Bearer given", None]


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://ledger", ""])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    kinds: list[Callable[[str], object]] = [Client, AsyncClient]
    for kind in kinds:
        with pytest.raises(ValueError, match="https://"):
            kind(url)


def test_all_pages_are_read_in_order(send: Send) -> None:
    first = httpx.Response(200, json={"accounts": [account(A)], "next_cursor": "c/1 &"})
    script = Script(first, httpx.Response(200, json={"accounts": [account(B)], "next_cursor": None}))
    assert [it.id for it in send(script, accounts(currency="EUR"))] == [A, B]
    assert [it.url.params.get("cursor") for it in script.requests] == [None, "c/1 &"]
    assert {it.url.params["currency"] for it in script.requests} == {"EUR"}


def test_a_ledger_that_is_down_has_a_health(send: Send) -> None:
    body: dict[str, Any] = {"status": "down", "components": {}, "instance": "a", "region": None, "version": "0.1.0"}
    assert send(Script(httpx.Response(503, json=body)), get_health()).status == "down"


def test_the_pause_grows_up_to_the_longest_and_is_never_shorter_than_what_the_server_asks_for() -> None:
    retries = Retries(deadline=1000, first=1, longest=8, random=Random(7))
    failure = Unavailable(503, "overloaded", "")
    for attempt, most in ((1, 1), (2, 2), (4, 8), (400, 8)):
        pauses = [retries.pause(failure, attempt, 0) for _ in range(200)]
        assert all(it is not None and 0 <= it <= most for it in pauses)
        assert max(it for it in pauses if it is not None) > most / 2
    assert retries.pause(failure, 1, 0, after=20) == 20
    assert retries.pause(failure, 1, 999.9, after=1) is None
    assert retries.pause(Refused(409, "insufficient_funds", ""), 1, 0) is None


@pytest.mark.parametrize("bad", [{"deadline": -1}, {"first": float("nan")}, {"longest": -0.1}])
def test_times_below_zero_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Retries(**bad)
