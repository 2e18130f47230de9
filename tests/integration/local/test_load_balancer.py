"""The load balancer tries again elsewhere what may safely be tried again, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from chronicle_chaos.local import load_balancer
from chronicle_chaos.local.balancer.replica_side import Replica
from chronicle_chaos.local.load_balancer import LoadBalancer
from chronicle_chaos.local.ports import LOOPBACK, free_port
from chronicle_chaos.local.retry_rules import RULES, Outcome, may_repeat
from chronicle_chaos.local.waiting import until
from chronicle_chaos.record.final import PROOF_SECONDS

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Stub:
    """A replica whose behaviour a test decides; `asked` counts what was posted to it."""

    answer: Answer
    ready: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        self.asked.append(f"{request.method} {request.path_qs}")
        return await self.answer(request)


async def created(request: web.Request) -> web.StreamResponse:
    return web.Response(status=201, body=await request.read())


async def dies(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.6)
    return web.Response(text="after all")


async def overloaded(request: web.Request) -> web.StreamResponse:
    return web.json_response({"code": "overloaded"}, status=503)


async def nothing_to_read(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="no JSON")


async def unavailable(request: web.Request) -> web.StreamResponse:
    return web.json_response({"code": "database_unavailable"}, status=503)


@asynccontextmanager
async def _served(app: web.Application) -> AsyncIterator[str]:
    port = free_port()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    yield f"http://{LOOPBACK}:{port}"
    await runner.cleanup()


@asynccontextmanager
async def _balanced(balancer: LoadBalancer) -> AsyncIterator[str]:
    port = free_port()
    async with balancer.serving(port, drain_seconds=0.1):
        yield f"http://{LOOPBACK}:{port}"


@dataclass
class Front:
    """A load balancer before stubs, and a client of it."""

    stack: AsyncExitStack
    session: aiohttp.ClientSession
    url: str = ""
    replicas: list[Replica] = field(default_factory=list)

    async def before(self, *stubs: Stub, all_ready: bool = True) -> None:
        for stub in stubs:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", stub.handle)
            stub.url = await self.stack.enter_async_context(_served(app))
        balancer = LoadBalancer([stub.url for stub in stubs])
        self.replicas = balancer.replicas
        self.url = await self.stack.enter_async_context(_balanced(balancer))

        async def ready() -> bool:
            return not all_ready or all(replica.ready for replica in balancer.replicas)

        await until(ready, "every replica is ready", seconds=5)

    async def post(self, *, key: str | None, path: str = "/v1/transfers?x=1") -> tuple[int, str, str]:
        """Status, attempts, body."""
        headers = {"Idempotency-Key": key} if key else {}
        async with self.session.post(self.url + path, data=b"body", headers=headers) as answer:
            return answer.status, answer.headers["Chronicle-Attempts"], await answer.text()

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, attempts, body."""
        async with self.session.get(self.url + path) as answer:
            return answer.status, answer.headers["Chronicle-Attempts"], await answer.text()


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """To be put before stubs."""
    async with AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        yield Front(stack, session)


async def test_requests_are_spread_over_the_ready_replicas(front: Front) -> None:
    stubs = [Stub(created) for _ in range(3)]
    await front.before(*stubs)
    for _ in range(6):
        assert await front.post(key="k") == (201, "1", "body")
    assert [len(stub.asked) for stub in stubs] == [2, 2, 2]


async def test_head_is_passed_on_with_the_length_of_what_get_would_bring(front: Front) -> None:
    await front.before(Stub(slow))
    async with front.session.head(front.url + "/v1/accounts") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len("after all")))


async def test_a_keyed_request_whose_replica_dies_is_answered_by_another(front: Front) -> None:
    stubs = [Stub(dies), Stub(created)]
    await front.before(*stubs)
    assert [await front.post(key="k"), await front.post(key="k")].count((201, "2", "body")) == 1
    assert len(stubs[0].asked) == 1, "a replica that died is not asked again before it is healthy"


async def test_a_request_without_a_key_is_never_sent_twice(front: Front) -> None:
    stubs = [Stub(dies), Stub(dies)]
    await front.before(*stubs)
    status, attempts, body = await front.post(key=None)
    assert (status, attempts) == (502, "1")
    assert "no_replica_answered" in body
    assert sum(len(stub.asked) for stub in stubs) == 1


async def test_a_replica_that_refuses_connections_is_passed_over_even_without_a_key(front: Front) -> None:
    alive = Stub(created)
    gone = Stub(created)
    await front.before(alive, gone)
    gone_url, gone.url = gone.url, f"http://{LOOPBACK}:{free_port()}"
    balancer = LoadBalancer([gone.url, alive.url])
    url = await front.stack.enter_async_context(_balanced(balancer))
    for _ in range(2):
        async with front.session.post(url + "/v1/transfers", data=b"body") as answer:
            assert answer.status == 201
    assert gone_url != gone.url


async def test_a_keyed_request_that_one_replica_cannot_serve_now_goes_to_another(front: Front) -> None:
    stubs = [Stub(unavailable), Stub(created)]
    await front.before(*stubs)
    assert {(await front.post(key="k"))[0] for _ in range(4)} == {201}


async def test_where_every_replica_says_503_the_client_gets_its_words(front: Front) -> None:
    await front.before(Stub(unavailable), Stub(unavailable))
    status, _, body = await front.post(key="k")
    assert status == 503
    assert "database_unavailable" in body


async def test_where_one_replica_says_503_and_no_other_is_there_the_client_gets_its_words(front: Front) -> None:
    refuses, gone, dying = Stub(unavailable), Stub(created), Stub(dies)
    await front.before(refuses, gone, dying)
    balancer = LoadBalancer([refuses.url, f"http://{LOOPBACK}:{free_port()}", dying.url])
    front.url = await front.stack.enter_async_context(_balanced(balancer))
    for _ in range(3):  # whoever is asked first
        status, attempts, body = await front.post(key="k")
        assert (status, attempts) == (503, "3")
        assert "database_unavailable" in body
    assert len(refuses.asked) == 3, "its answer is passed on, not asked for again"


async def test_a_batch_carries_its_keys_in_its_items_and_is_answered_by_another_replica(front: Front) -> None:
    stubs = [Stub(dies), Stub(created)]
    await front.before(*stubs)
    answers = [await front.post(key=None, path="/v1/transactions:batch") for _ in range(2)]
    assert answers.count((201, "2", "body")) == 1
    assert {status for status, _, _ in answers} == {201}


async def test_our_own_impatience_says_nothing_about_a_replica(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_balancer, "ATTEMPT_TIMEOUT_SECONDS", 0.2)
    await front.before(Stub(silent), Stub(silent))
    status, attempts, body = await front.get("/v1/accounts")
    assert (status, attempts) == (502, "1")
    assert "TimeoutError" in body
    assert all(replica.ready for replica in front.replicas), "only its health checks and broken connections do"


ANSWERS: dict[Outcome, tuple[Answer, ...]] = {
    Outcome.BROKEN: (dies,),
    Outcome.TIMED_OUT: (silent,),
    Outcome.UNAVAILABLE: (unavailable, nothing_to_read),
    Outcome.OVERLOADED: (overloaded,),
}


@pytest.mark.parametrize("outcome", ANSWERS)
async def test_what_is_repeated_follows_the_table(
    front: Front, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    monkeypatch.setattr(load_balancer, "ATTEMPT_TIMEOUT_SECONDS", 0.2)
    for answer in ANSWERS[outcome]:
        for safe in (True, False):
            stubs = [Stub(answer), Stub(answer), Stub(answer)]
            await front.before(*stubs)
            await front.post(key="k" if safe else None)
            asked = sum(len(stub.asked) for stub in stubs)
            assert asked == (3 if may_repeat(outcome, safe=safe) else 1), (answer.__name__, safe)


def test_the_table_says_something_of_every_outcome() -> None:
    assert set(RULES) == set(Outcome)
    assert set(ANSWERS) | {Outcome.UNREACHABLE} == set(Outcome)


async def test_a_proof_may_take_longer_than_other_requests(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_balancer.PROOF_TIMEOUT_SECONDS > PROOF_SECONDS, "whoever asks for it gives up first"
    monkeypatch.setattr(load_balancer, "ATTEMPT_TIMEOUT_SECONDS", 0.2)
    await front.before(Stub(slow))
    assert await front.get("/v1/proof") == (200, "1", "after all")
    assert (await front.get("/v1/accounts"))[0] == 502


async def test_a_replica_that_is_not_ready_gets_no_request_while_another_is(front: Front) -> None:
    ready, draining = Stub(created), Stub(created, ready=False)
    await front.before(ready, draining, all_ready=False)

    async def served() -> bool:
        return (await front.post(key="k"))[0] == 201 and bool(ready.asked)

    await until(served, "the ready replica is known to be ready", seconds=5)
    ready.asked.clear()
    draining.asked.clear()
    for _ in range(5):
        assert (await front.post(key="k"))[0] == 201
    assert (len(ready.asked), len(draining.asked)) == (5, 0)
