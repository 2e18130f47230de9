"""What counts as an answer, as silence, and as no word at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from chronicle_chaos.injectors.kubernetes import probes as cluster_probes
from chronicle_chaos.injectors.kubernetes.probes import database
from chronicle_chaos.target import Target


def says(status: str, live: int | None, total: int | None) -> dict[str, Any]:
    return {"components": {"database": {"status": status, "nodes_live": live, "nodes_total": total}}}


@asynccontextmanager
async def an_api(document: object, delay: float = 0.0) -> AsyncIterator[str]:
    async def health(request: web.Request) -> web.Response:
        del request
        await asyncio.sleep(delay)
        return web.Response(text=json.dumps(document), content_type="application/json")

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def target(*urls: str) -> Target:
    return Target("cluster", "http://x", {"here": urls}, "cockroachdb")


@pytest.mark.parametrize(
    ("document", "whole", "works_without_some", "down"),
    [
        (says("ok", 3, 3), True, False, False),
        (says("degraded", 3, 3), True, False, False),
        (says("degraded", 2, 3), False, True, False),
        (says("degraded", 1, 3), False, False, False),
        (says("down", 2, 3), False, False, True),
        (says("down", None, None), False, False, True),
        ({"error": "odd"}, False, False, False),
    ],
    ids=str,
)
async def test_a_region_says_of_the_database_what_it_sees(
    document: object, whole: bool, works_without_some: bool, down: bool
) -> None:
    async with an_api(document) as url:
        seen = await database(target(url), "here")
    assert (seen.whole, seen.works_without_some, seen.down) == (whole, works_without_some, down)


async def test_an_api_that_is_there_and_silent_says_that_nothing_works() -> None:
    async with an_api(says("ok", 3, 3), delay=5) as url:
        assert (await database(target(url), "here", seconds=0.2)).down


async def test_an_api_that_cannot_be_found_says_nothing() -> None:
    seen = await database(target("http://no-such-host.invalid:1"), "here", seconds=0.2)
    assert not seen.down
    assert not seen.whole


async def test_a_replica_that_does_not_answer_leaves_the_word_to_the_next() -> None:
    async with an_api(says("down", 1, 3)) as url:
        seen = await database(target("http://no-such-host.invalid:1", url), "here", seconds=1)
    assert seen.down


async def test_a_region_without_replicas_is_said() -> None:
    assert (await database(target(), "here")).said == "no API replica of here is known"


async def test_a_name_that_cannot_be_resolved_is_no_connection_that_was_cut() -> None:
    tried = await cluster_probes.connect("no-such-host.invalid:4222")
    assert (tried.made, tried.cut) == (False, False)
    assert "cannot be resolved" in tried.said
