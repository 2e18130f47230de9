"""What a pod answers is bounded and checked: the operator of all ledgers asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from chronicle_operator.observe import health
from chronicle_operator.observe.health import Health, HealthClient, parse

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = 'replicas{store="1"} 40\nranges_underreplicated{store="1"} 0\nnode_id{} 3\n'
MIB = 1024 * 1024


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[tuple[HealthClient, str]]:
    """A client, and the address of a server that answers like this."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield HealthClient(session), f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def saying(text: str, status: int = 200, **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response(text=text, status=status, headers=headers)

    return handler


class Endless:
    """An answer that never ends, and how much of it was taken."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.sent = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while self.sent < 512 * MIB:
                await response.write(self.chunk)
                self.sent += len(self.chunk)
        return response


async def test_an_answer_is_read() -> None:
    async with answering(saying('{"status": "ok", "version": "1.0"}')) as (client, url):
        assert await client.ask(url, None) == Health("ok", version="1.0")


async def test_a_redirect_is_no_answer_and_is_not_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/elsewhere":
            return web.json_response({"status": "ok", "version": "of another service"})
        raise web.HTTPFound("/elsewhere")

    async with answering(handler) as (client, url):
        assert await client.ask(f"{url}/health", None) is None
        assert (await client.nodes({"pod": f"{url}/_status/vars"}, None)).by_pod == {"pod": None}


async def test_an_answer_without_end_is_left_after_the_bound() -> None:
    endless = Endless(b"[" * MIB)
    async with answering(endless.answer) as (client, url):
        assert await client.ask(url, None) is None
    assert endless.sent <= 16 * MIB, "what is more than the sockets' buffers was read on and on"


@pytest.mark.parametrize("chunk", [b"x", b"some_metric 1\n", b"node_id 1\n"])
async def test_a_metrics_page_without_end_is_left_after_the_bound(
    chunk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PAGE_BYTES", MIB)
    endless = Endless(chunk * (MIB // len(chunk)))
    async with answering(endless.answer) as (client, url):
        assert (await client.nodes({"pod": url}, None)).by_pod == {"pod": None}
    assert endless.sent <= 16 * MIB


async def test_a_long_metrics_page_is_read_to_its_end() -> None:
    async with answering(saying('other_metric{store="1"} 1\n' * 100_000 + PAGE)) as (client, url):
        (node,) = (await client.nodes({"pod": url}, None)).answered
    assert (node.node_id, node.replicas) == (3, 40)


@pytest.mark.parametrize(
    "page",
    [
        "node_id{} x\n",
        "node_id\n",
        "node_id{ 1\n",
        "node_id NaN\n",
        f'{PAGE}replicas{{store="2"}} +Inf\n',
        "<html>log in</html>",
        "",
    ],
)
async def test_a_page_that_is_none_is_no_word_on_replicas(page: str) -> None:
    async with answering(saying(page)) as (client, url):
        nodes = await client.nodes({"pod": url}, None)
    assert nodes.by_pod == {"pod": None}
    assert nodes.whole is None


@pytest.mark.parametrize(("body", "times"), [("[", 60_000), ("[]", 1), ("no", 1), ('{"status": "ok"} ', 2)])
async def test_an_answer_of_another_form_is_none(body: str, times: int) -> None:
    async with answering(saying(body * times)) as (client, url):
        assert await client.ask(url, None) is None


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "1e300", "true", '"3"', "[]", "null", str(2**53)])
async def test_a_figure_that_is_none_is_not_known(figure: str) -> None:
    body = f'{{"status": "ok", "components": {{"database": {{"nodes_live": {figure}}}}}}}'
    async with answering(saying(body)) as (client, url):
        assert await client.ask(url, None) == Health("ok")


@pytest.mark.parametrize("components", [[], "x", 3, {"database": "ok"}, {"nats": [], "read_model": None}])
def test_parts_of_another_form_are_not_known(components: object) -> None:
    assert parse({"status": "ok", "components": components}) == Health("ok")


def test_a_word_of_an_answer_is_short_in_the_status() -> None:
    assert len(parse({"status": "ok", "version": "v" * 60_000}).version or "") == 128
    assert parse({"status": ["ok"]}).status == "unknown"
