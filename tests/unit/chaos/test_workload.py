"""The load keeps to its schedule whatever the server does, retries with the same key, and never guesses an outcome."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from aiohttp import web

from chronicle_chaos.load.client import Answer, LedgerClient, open_client
from chronicle_chaos.load.logical import LogicalClient, Patience
from chronicle_chaos.load.operations import Operations, Request
from chronicle_chaos.load.workload import Workload
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.history import Operation, Recorder
from chronicle_chaos.target import Target

IMPATIENT = Patience(attempt=0.2, total=0.8, first_pause=0.01, longest_pause=0.05)
DEPOSIT = Request("deposit", "POST", "/v1/accounts/a/deposits", "k", {"amount": 1}, {"amount": 1, "account_id": "a"})


@dataclass
class Scripted:
    """A server that answers as it is told: a status, `hang`, or `reset`; the last one again and again."""

    script: list[int | str]
    codes: dict[int, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if step == "hang":
            await asyncio.sleep(5)
        if step == "reset":
            assert request.transport is not None
            request.transport.abort()
        status = step if isinstance(step, int) else 200
        return web.json_response({"id": "t1", "code": self.codes.get(status), **self.figures}, status=status)


@asynccontextmanager
async def talking_to(server: Scripted) -> AsyncIterator[tuple[LedgerClient, str]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with open_client(Target("local", url, {}, "postgresql")) as client:
            yield client, url
    finally:
        await runner.cleanup()


async def perform(server: Scripted, patience: Patience = IMPATIENT) -> Operation:
    recorder = Recorder(None, RunClock())
    async with talking_to(server) as (client, url):
        logical = LogicalClient("client-1", client, recorder, Random(1), patience)
        await logical.perform(DEPOSIT, url, "lb", recorder.clock.ns())
    (operation,) = recorder.history().operations
    return operation


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([201], "ok"),
        ([409], "fail"),
        ([422], "fail"),
        ([503], "info"),
        (["hang"], "info"),
        (["reset"], "info"),
        ([503, 201], "ok"),
        (["hang", 201], "ok"),
        (["reset", 201], "ok"),
        (["hang", 409], "info"),
        ([503, 409], "info"),
    ],
)
async def test_an_outcome_is_what_is_known(script: list[int | str], outcome: str) -> None:
    assert (await perform(Scripted(script))).outcome == outcome


async def test_a_request_in_progress_is_asked_again_and_not_taken_for_a_refusal() -> None:
    server = Scripted([409], codes={409: "request_in_progress"})
    operation = await perform(server)
    assert (operation.outcome, operation.answered_for_good) == ("info", False)
    assert len(server.keys) > 1


async def test_the_history_keeps_the_figures_of_a_refusal_and_of_nothing_else() -> None:
    figures = {"account_id": "a", "available": 3, "required": 5, "floor": 0, "detail": "some words"}
    refused = await perform(Scripted([409], codes={409: "insufficient_funds"}, figures=figures))
    kept = {name: value for name, value in figures.items() if name != "detail"}
    assert (refused.code, refused.answered["refusal"]) == ("insufficient_funds", kept)
    assert "refusal" not in (await perform(Scripted([201], figures=figures))).answered
    assert "refusal" not in (await perform(Scripted([503], figures=figures))).answered


async def test_every_attempt_carries_the_same_key() -> None:
    server = Scripted([503, "reset", "hang", 201])
    operation = await perform(server)
    assert operation.answered["attempts"] == 4
    assert set(server.keys) == {"k"}


async def test_one_attempt_means_one_attempt() -> None:
    server = Scripted([503, 201])
    operation = await perform(server, Patience(attempt=0.2, total=0.8, attempts=1))
    assert (operation.outcome, operation.status, len(server.keys)) == ("info", 503, 1)


async def test_what_was_never_sent_did_definitely_not_happen() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        recorder = Recorder(None, RunClock())
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        patient = replace(IMPATIENT, attempt=30.0, total=30.0, attempts=3)  # an attempt that times out proves nothing
        async with open_client(Target("local", url, {}, "postgresql")) as client:
            await LogicalClient("client-1", client, recorder, Random(1), patient).perform(DEPOSIT, url, "lb", 0)
    (operation,) = recorder.history().operations
    assert (operation.outcome, operation.code, operation.answered_for_good) == ("fail", "not_sent", False)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(201), "ok"),
        (Answer(404), "refused"),
        (Answer(409, {"code": "insufficient_funds"}), "refused"),
        (Answer(409, {"code": "request_in_progress"}), "unknown"),
        (Answer(429), "unknown"),
        (Answer(500), "unknown"),
        (Answer(None), "unknown"),
        (Answer(None, sent=False), "not-sent"),
    ],
)
def test_answers_are_sorted_by_what_they_prove(answer: Answer, kind: str) -> None:
    assert answer.kind == kind


async def loaded(server: Scripted, seconds: float, rate: float, limit: int = 4000) -> tuple[list[Operation], float]:
    """What a load of about `seconds` recorded, and how many seconds it was on."""
    recorder = Recorder(None, RunClock())
    async with talking_to(server) as (client, url):
        operations = Operations(Random(1), ("a", "b", "c"), "test")
        workload = Workload(client, recorder, operations, url, rate, Random(2), IMPATIENT, limit)
        began = time.monotonic()
        running = asyncio.create_task(workload.run())
        await asyncio.sleep(seconds)
        workload.stop()
        took = time.monotonic() - began
        await running
        await workload.drain(2.0)
    return list(recorder.history().operations), took


async def test_arrivals_keep_to_the_schedule_while_the_server_hangs() -> None:
    operations, took = await loaded(Scripted(["hang"]), seconds=0.5, rate=200)
    # None more than were due; fewer by what fell due while this process was kept from running just before the end.
    assert 0.8 * took * 200 <= len(operations) <= took * 200 + 1
    starts = [o.intended_ns for o in operations]
    assert {later - earlier for earlier, later in pairwise(starts)} == {5_000_000}


async def test_latency_counts_from_the_intended_start() -> None:
    recorder = Recorder(None, RunClock())
    async with talking_to(Scripted([201])) as (client, url):
        logical = LogicalClient("client-1", client, recorder, Random(1), IMPATIENT)
        await logical.perform(DEPOSIT, url, "lb", recorder.clock.ns() - 3_000_000_000)
    (operation,) = recorder.history().operations
    assert operation.latency_ns is not None
    assert operation.latency_ns >= 3_000_000_000


async def test_a_client_whose_request_has_no_known_outcome_is_retired() -> None:
    operations, _ = await loaded(Scripted([503]), seconds=0.5, rate=100)
    assert max(Counter(o.process for o in operations).values()) == 1


async def test_free_clients_are_used_again() -> None:
    operations, _ = await loaded(Scripted([409]), seconds=0.5, rate=100)
    assert max(Counter(o.process for o in operations).values()) > 3


async def test_past_the_limit_requests_are_recorded_as_not_sent() -> None:
    operations, took = await loaded(Scripted(["hang"]), seconds=0.3, rate=200, limit=10)
    assert sum(o.code == "not_sent" for o in operations) >= 0.8 * took * 200 - 20
    assert all(o.outcome == "fail" for o in operations if o.code == "not_sent")
