"""The probes fail when reconciling has stalled, with the code on which Kubernetes acts."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from chronicle_operator.serve.liveness import Heartbeat, Liveness, Watching
from chronicle_operator.serve.metrics import Metrics
from chronicle_operator.serve.web import application


@dataclass
class World:
    """A clock and a run whose age the test decides."""

    now: float = 1000.0
    longest: float = 0.0
    watches: int = 1


async def ask(world: World, heartbeat: Heartbeat, path: str, watching: Watching | None = None) -> tuple[int, str]:
    liveness = Liveness(heartbeat, lambda: world.longest, 150, watching or Watching(lambda: 0.0, lambda: 1))
    metrics = Metrics()
    app = application(liveness, lambda: heartbeat.last is not None, metrics.registry, lambda: metrics.waiting.set(7))
    async with TestClient(TestServer(app)) as client:
        answer: aiohttp.ClientResponse = await client.get(path)
        return answer.status, await answer.text()


async def test_a_working_operator_is_alive() -> None:
    world = World()
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    heartbeat.beat()
    world.now += 179
    assert await ask(world, heartbeat, "/livez") == (200, "ok\n")


async def test_a_resync_that_stopped_fails_the_probe() -> None:
    world = World()
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    heartbeat.beat()
    world.now += 181
    status, text = await ask(world, heartbeat, "/livez")
    assert status == 503
    assert "no resync for 181 s" in text


async def test_a_hanging_reconcile_fails_the_probe() -> None:
    world = World(longest=151)
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    heartbeat.beat()
    status, text = await ask(world, heartbeat, "/livez")
    assert status == 503
    assert "151 s" in text


async def test_an_operator_that_watches_nothing_any_longer_fails_the_probe() -> None:
    world = World()
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    watching = Watching(lambda: world.now, lambda: world.watches)
    world.now += 50
    assert (await ask(world, heartbeat, "/livez", watching))[0] == 200
    world.watches = 0
    world.now += 59
    assert (await ask(world, heartbeat, "/livez", watching))[0] == 200
    world.now += 2
    status, text = await ask(world, heartbeat, "/livez", watching)
    assert status == 503
    assert "nothing has been watched for 61 s" in text


async def test_starting_up_is_alive_and_not_ready() -> None:
    world = World()
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    world.now += 179
    assert (await ask(world, heartbeat, "/livez"))[0] == 200
    assert (await ask(world, heartbeat, "/readyz"))[0] == 503
    heartbeat.beat()
    assert (await ask(world, heartbeat, "/readyz"))[0] == 200


async def test_a_first_resync_that_never_ends_fails_the_probe() -> None:
    world = World()
    heartbeat = Heartbeat(lambda: world.now, limit_seconds=180)
    world.now += 181
    assert (await ask(world, heartbeat, "/livez"))[0] == 503


async def test_metrics_are_read_when_they_are_asked_for() -> None:
    world = World()
    status, text = await ask(world, Heartbeat(lambda: world.now, 1), "/metrics")
    assert status == 200
    assert "chronicle_operator_queue 7.0" in text
