"""What is known of /health is the newest question's answer, in whatever order the answers come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from chronicle_chaos.load.client import Answer
from chronicle_chaos.load.sampler import HealthSampler
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.target import Target


@dataclass
class Slow:
    """Each question gets its answer when the test says so."""

    answers: list[asyncio.Future[Answer]] = field(default_factory=list)

    async def request(self, method: str, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 - as the client
        assert (method, url, timeout > 0) == ("GET", "http://lb/health", True)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


def says(status: str) -> Answer:
    return Answer(200, {"status": status, "components": {}})


async def test_a_slow_old_answer_does_not_replace_a_newer_one() -> None:
    slow, recorder = Slow(), Recorder(None, RunClock())
    sampler = HealthSampler(slow, recorder, Target("local", "http://lb", {}, "cockroachdb"))  # type: ignore[arg-type]
    old = asyncio.create_task(sampler.sample())
    await asyncio.sleep(0)
    new = asyncio.create_task(sampler.sample())
    await asyncio.sleep(0)
    slow.answers[1].set_result(says("degraded"))
    assert (await new)["status"] == "degraded"
    slow.answers[0].set_result(says("ok"))
    await old
    assert sampler.latest["lb"]["status"] == "degraded"
    assert sampler.all_ok_since_ns is None
    # Both are in the history all the same, in the order in which they were asked.
    assert [o.answered["status"] for o in recorder.history().health] == ["ok", "degraded"]


async def test_the_newest_answer_counts_from_when_it_was_asked_for() -> None:
    slow, recorder = Slow(), Recorder(None, RunClock())
    sampler = HealthSampler(slow, recorder, Target("local", "http://lb", {}, "cockroachdb"))  # type: ignore[arg-type]
    asked = asyncio.create_task(sampler.sample())
    await asyncio.sleep(0)
    slow.answers[0].set_result(says("ok"))
    await asked
    assert sampler.all_ok_since_ns == recorder.events[0].t_ns


@dataclass
class Scripted:
    """Answers in order; None stands for no answer."""

    script: list[str | None]
    asked: list[str] = field(default_factory=list)

    async def request(self, method: str, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 - as the client
        assert (method, timeout > 0) == ("GET", True)
        self.asked.append(url)
        status = self.script.pop(0)
        return says(status) if status else Answer(None, error=f"no answer within {timeout:g} s")


@pytest.mark.parametrize(
    ("script", "outcome", "left"), [(["ok"], "ok", 0), ([None, "ok"], "ok", 0), ([None, None, "ok"], "info", 1)]
)
async def test_what_nobody_behind_the_load_balancer_answered_is_asked_once_more(
    script: list[str | None], outcome: str, left: int
) -> None:
    client, recorder = Scripted(script), Recorder(None, RunClock())
    sampler = HealthSampler(client, recorder, Target("local", "http://lb", {}, "cockroachdb"))  # type: ignore[arg-type]
    await sampler.sample()
    (sample,) = recorder.history().health
    assert (sample.outcome, len(script)) == (outcome, left)
    assert sample.answered.get("attempts", 1) == len(client.asked)


async def test_an_instance_that_is_asked_directly_gets_no_second_chance() -> None:
    client, recorder = Scripted([None, "ok"]), Recorder(None, RunClock())
    sampler = HealthSampler(client, recorder, Target("local", "http://lb", {}, "cockroachdb"))  # type: ignore[arg-type]
    await sampler._sample("region-a/1", "http://one")
    assert [o.outcome for o in recorder.history().health] == ["info"]
    assert client.asked == ["http://one/health"]
