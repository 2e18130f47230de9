"""The scenarios begin on a stack that is well, and wait for one that is being started."""

from __future__ import annotations

import asyncio

import pytest

from chronicle_chaos.injectors.compose import stack as compose_stack
from chronicle_chaos.injectors.compose.cut import Cut
from chronicle_chaos.injectors.compose.injector import ComposeInjector
from chronicle_chaos.injectors.compose.stack import StackDown, wait_until_well
from support.fake_docker import FakeDocker, Stack


def injector_of(stack: Stack) -> ComposeInjector:
    docker = FakeDocker(stack=stack)
    return ComposeInjector(docker, Cut(docker, "helper"))


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `/health` says."""
    said = {"status": "ok"}
    monkeypatch.setattr(compose_stack, "_health", lambda _: said)
    return said


async def test_a_container_whose_turn_has_not_come_is_waited_for(health: dict[str, str]) -> None:
    stack = Stack(created={"chronicle-api-1", "chronicle-api-3"})
    waiting = asyncio.create_task(wait_until_well("http://x", injector_of(stack)))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    stack.created.clear()
    assert (await waiting)["status"] == "ok"


async def test_one_that_nobody_starts_is_named_in_the_end(health: dict[str, str]) -> None:
    with pytest.raises(StackDown, match="chronicle-api-3 was not started within 0 s; run: docker compose up -d"):
        await wait_until_well("http://x", injector_of(Stack(created={"chronicle-api-3"})), patience=0.0)


async def test_one_that_has_ended_is_not_waited_for(health: dict[str, str]) -> None:
    stack = Stack(created={"chronicle-api-3"}, stopped={"chronicle-nats-1"})
    with pytest.raises(StackDown, match="chronicle-nats-1 does not run"):
        await wait_until_well("http://x", injector_of(stack))


async def test_a_stack_that_stays_unwell_is_swept_before_it_is_given_up(
    health: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    health["status"] = "degraded"
    monkeypatch.setattr(compose_stack, "SWEEP_AFTER_SECONDS", 0.0)
    stack = Stack(cut={"chronicle-api-3"}, paused={"chronicle-nats-1"})
    with pytest.raises(StackDown, match=r"did not say ok within 0\.2 s .*degraded"):
        await wait_until_well("http://x", injector_of(stack), patience=0.2)
    assert (stack.cut, stack.paused) == (set(), set())
