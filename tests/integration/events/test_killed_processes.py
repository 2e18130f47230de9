"""`chronicle serve relay` and `chronicle serve projector` killed by SIGKILL in the middle of their work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chronicle_chaos.local.orphans import die_with_parent
from support.api_process import CHRONICLE, environment
from support.event_bench import EventBench, failures, until

MOST_WAITING = 300
"""Events in the outbox, above which nothing more is posted."""


class Processes:
    """Running roles, each a process of its own; `folder` takes what they log."""

    def __init__(self, bench: EventBench, folder: Path) -> None:
        self._settings = environment(bench.url, NATS_URLS=",".join(bench.nats.urls), NATS_REPLICAS="3")
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, role: str) -> subprocess.Popen[bytes]:
        """One more process."""
        settings = {**self._settings, "CHRONICLE_INSTANCE": f"{role}-{len(self._started)}"}
        with (self._folder / f"{settings['CHRONICLE_INSTANCE']}.log").open("wb") as log:
            process = subprocess.Popen(
                [CHRONICLE, "serve", role], env=settings, stdout=log, stderr=log,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, which takes no lock
            )  # fmt: skip
        self._started.append(process)
        return process

    @staticmethod
    def kill(*processes: subprocess.Popen[bytes]) -> None:
        """Kill processes, which must have run until now."""
        for process in processes:
            process.send_signal(signal.SIGKILL)
        assert [process.wait(10) for process in processes] == [-signal.SIGKILL] * len(processes)

    def close(self) -> None:
        """End what runs, by its own way out."""
        running = [process for process in self._started if process.poll() is None]
        for process in running:
            process.terminate()
        assert [process.wait(20) for process in running] == [0] * len(running)


@pytest.fixture
def processes(bench: EventBench, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(bench, tmp_path)
    try:
        yield made
    finally:
        made.close()


@contextlib.asynccontextmanager
async def load(bench: EventBench) -> AsyncIterator[None]:
    """Postings all the time, up to a backlog that relay and projector can work off while more come."""
    stop = asyncio.Event()

    async def post() -> None:
        while not stop.is_set():
            if await bench.backlog() < MOST_WAITING:
                await bench.post(50)
            else:
                await asyncio.sleep(0.02)

    posting = asyncio.create_task(post())
    try:
        yield
    finally:
        stop.set()
        await posting


@pytest.mark.timeout(300)
async def test_a_relay_and_a_projector_killed_under_load_lose_and_double_nothing(
    bench: EventBench, processes: Processes
) -> None:
    async def goes_on(what: str) -> None:
        posted = (await bench.one("SELECT sum(version) FROM account"))[0]

        async def shown() -> bool:
            return bool((await bench.one("SELECT COALESCE(sum(version), 0) FROM account_view"))[0] >= posted)

        await until(shown, f"the read model shows as much as was posted {what}", 60)

    async def work_waits() -> bool:
        return await bench.backlog() > 0 and not await bench.view_is_current()

    relay, projector = processes.start("relay"), processes.start("projector")
    async with load(bench):
        await goes_on("before both began")
        await until(work_waits, "relay and projector have work in hand")
        processes.kill(relay)
        relay = processes.start("relay")
        await goes_on("when the relay was killed")
        await until(work_waits, "the projector has work in hand")
        processes.kill(projector)
        projector = processes.start("projector")
        await goes_on("when the projector was killed")
        await until(work_waits, "both have work in hand")
        processes.kill(relay, projector)
        processes.start("relay")
        processes.start("projector")
        await goes_on("when both were killed")
    await bench.caught_up(120)
    await until(bench.acknowledged, "what was delivered to the dead has come again", 60)
    proof = await bench.prove()
    assert failures(proof) == {}
    stream = next(check for check in proof.checks if check.name == "stream")
    assert stream.figures["in_stream"] == proof.transactions
