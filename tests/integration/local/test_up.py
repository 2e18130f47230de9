"""`chronicle up` gives a ledger that can be used and broken, and Ctrl-C leaves neither a process nor a file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from chronicle_chaos.faults import Component, Crashes, NodeKill, Outage, Partition
from chronicle_chaos.injection import Injection, NotApplicable
from chronicle_chaos.injectors.local import LocalInjector
from chronicle_chaos.local.binaries import chronicle, find_cockroach
from chronicle_chaos.local.waiting import until
from chronicle_chaos.target import Target
from chronicle_chaos.undo import FileUndoLog

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def _up(folder: Path, database: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Target]]:
    target_file = folder / "target.json"
    child = await asyncio.create_subprocess_exec(
        str(chronicle()), "up", "--database", database, "--target-file", str(target_file), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        line = await child.stdout.readline()
        assert line, (await child.stderr.read()).decode()
        target = Target.read(target_file)
        assert json.loads(line)["url"] == target.url
        yield child, target
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGINT)
        await child.communicate()


def _processes_that_mention(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command:
            found.append(command)
    return found


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short name: the name of a Unix socket ends after 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="cu-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_up_serves_a_ledger_and_ctrl_c_leaves_nothing(short_folder: Path) -> None:
    async with _up(short_folder, "postgres") as (child, target), aiohttp.ClientSession() as session:
        headers = {"Idempotency-Key": "first"}
        async with session.post(f"{target.url}/v1/accounts", json={"currency": "EUR"}, headers=headers) as answer:
            assert answer.status == 201
            account = (await answer.json())["id"]
        async with session.get(f"{target.url}/v1/accounts/{account}") as answer:
            assert (await answer.json())["balance"] == 0
        assert len(_processes_that_mention(str(short_folder))) > 3
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await child.wait() == 0
    assert _processes_that_mention(str(short_folder)) == []
    assert list(short_folder.iterdir()) == []  # noqa: ASYNC240 - nothing else waits


async def test_one_postgresql_cannot_have_a_quorum_and_the_injector_says_what_to_install(short_folder: Path) -> None:
    async with _up(short_folder, "postgres") as (_, target):
        injector = LocalInjector(target)
        for fault in (NodeKill(Component.COCKROACH), Partition()):
            with pytest.raises(NotApplicable) as refused:
                await injector.preflight(fault)
            assert "chronicle fetch cockroach" in refused.value.next_step
        for possible in (Outage(Component.NATS), Crashes(Component.API, 3)):
            await injector.preflight(possible)


async def test_an_outage_and_a_crash_are_done_proven_and_undone_from_another_process(short_folder: Path) -> None:
    async with _up(short_folder, "postgres") as (_, target):
        injector = LocalInjector(target)
        undo = FileUndoLog(short_folder / "undo.jsonl", "test")
        outage = await injector.inject(Outage(Component.NATS), undo, Random(1))
        assert len(outage.targets) == 3
        assert (await injector.evidence(outage)).proven
        assert not (await injector.healed(outage)).proven
        await _heal(injector, outage)
        assert not (await injector.evidence(outage)).proven, "what is healed must not look like a fault"

        crash = await injector.inject(Crashes(Component.API, 1), undo, Random(1))
        assert (await injector.evidence(crash)).proven
        await _heal(injector, crash)
        assert "release" in (short_folder / "undo.jsonl").read_text()


@pytest.mark.cockroach
@pytest.mark.skipif(find_cockroach() is None, reason="no cockroach binary; set CHRONICLE_COCKROACH or fetch one")
async def test_a_partition_cuts_both_ways_and_nothing_inside_the_majority(short_folder: Path) -> None:
    async with _up(short_folder, "cockroach") as (_, target):
        injector = LocalInjector(target)
        await injector.preflight(Partition())
        undo = FileUndoLog(short_folder / "undo.jsonl", "test")
        cut = await injector.inject(Partition(), undo, Random(1))
        evidence = await injector.evidence(cut)
        assert evidence.proven, evidence
        assert [o.after for o in evidence.observations] == ["timed out", "timed out", "answers"]
        await _heal(injector, cut)

        kill = await injector.inject(NodeKill(Component.COCKROACH), undo, Random(1))
        assert (await injector.evidence(kill)).proven
        await _heal(injector, kill)


async def _heal(injector: LocalInjector, injection: Injection) -> None:
    await injector.heal(injection)

    async def healed() -> bool:
        return (await injector.healed(injection)).proven

    await until(healed, "everything is back", seconds=60)
