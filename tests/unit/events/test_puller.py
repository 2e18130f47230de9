# ruff: noqa: ARG002 - the server here keeps the signatures of nats-py
"""One request is always ahead, and one that was lost is not waited for again and again."""

from __future__ import annotations

import asyncio
import json
from collections import deque

import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from chronicle_ledger.events import puller as module
from chronicle_ledger.events.puller import REQUEST_SECONDS, Puller

BATCH = 10


class Server:
    """The client and the subscription that a puller uses, and what stands behind them: `waiting` messages, of which
    each request takes a batch. `deaf` loses requests."""

    def __init__(self, waiting: int) -> None:
        self.stats = {"reconnects": 0}
        self.waiting = waiting
        self.deaf = False
        self.requests = 0
        self.asked: dict[str, int] = {}
        self._delivered: deque[Msg] = deque()

    def new_inbox(self) -> str:
        return "_INBOX.test"

    async def subscribe(self, inbox: str) -> Server:
        assert inbox == "_INBOX.test"
        return self

    async def publish(self, subject: str, payload: bytes, *, reply: str) -> None:
        self.requests += 1
        self.asked = json.loads(payload)
        taken = 0 if self.deaf else min(self.asked["batch"], self.waiting)
        self.waiting -= taken
        self._delivered += [Msg(self, "chronicle.txn.0", reply, b"{}") for _ in range(taken)]  # type: ignore[arg-type]

    async def next_msg(self, timeout: float) -> Msg:  # noqa: ASYNC109 - as nats-py has it
        if not self._delivered:
            await asyncio.sleep(0)
            raise NatsTimeoutError
        return self._delivered.popleft()

    @property
    def pending_msgs(self) -> int:
        return len(self._delivered)


class Clock:
    """Time that passes when a test says so, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


async def opened(server: Server) -> Puller:
    puller = Puller(server, "CHRONICLE", "projector", BATCH)  # type: ignore[arg-type]
    await puller.open()
    return puller


async def with_a_lost_request(server: Server) -> Puller:
    """A puller whose first request was lost; the server hears the next one."""
    puller = await opened(server)
    server.deaf = True
    assert await pulled(puller, 2) == 0
    server.deaf = False
    return puller


async def pulled(puller: Puller, times: int) -> int:
    return sum([len(await puller.next(0.0001)) for _ in range(times)])


async def test_a_backlog_comes_batch_after_batch_without_waiting(clock: Clock) -> None:
    server = Server(waiting=5 * BATCH)
    assert await pulled(await opened(server), 5) == 5 * BATCH


async def test_while_there_is_nothing_one_request_stays_open_until_it_runs_out(clock: Clock) -> None:
    server = Server(waiting=0)
    puller = await opened(server)
    await pulled(puller, 4)
    assert server.requests == 1
    clock.now += REQUEST_SECONDS
    await pulled(puller, 4)
    assert server.requests == 2


async def test_a_lost_request_holds_up_the_backlog_once_until_it_has_run_out(clock: Clock) -> None:
    server = Server(waiting=5 * BATCH)
    puller = await with_a_lost_request(server)
    assert await pulled(puller, 1) == 0
    clock.now += REQUEST_SECONDS
    assert await pulled(puller, 5) == 5 * BATCH


async def test_after_a_reconnection_it_asks_again_at_once(clock: Clock) -> None:
    server = Server(waiting=5 * BATCH)
    puller = await with_a_lost_request(server)
    server.stats["reconnects"] += 1
    assert await pulled(puller, 5) == 5 * BATCH


async def test_a_batch_of_large_messages_is_bounded_by_their_bytes() -> None:
    server = Server(waiting=BATCH)
    puller = Puller(server, "CHRONICLE", "projector", BATCH, max_bytes=6)  # type: ignore[arg-type]
    await puller.open()
    assert [len(await puller.next(0.0001)) for _ in range(4)] == [3, 3, 3, 1], "messages of two bytes each"
    assert server.asked["max_bytes"] == 6, "the server sends no more either"


async def test_without_a_request_ahead_the_next_one_waits_for_the_last_message() -> None:
    server = Server(waiting=25)
    puller = Puller(server, "CHRONICLE", "feed", BATCH, ahead=False)  # type: ignore[arg-type]
    await puller.open()
    assert len(await puller.next(1.0)) == BATCH
    assert server.requests == 1
    assert len(await puller.next(1.0)) == BATCH
    assert server.requests == 2
