"""`chronicle up` gives a ledger that can be used and broken, and Ctrl-C leaves neither a process nor a file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
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
from chronicle_chaos.local.binaries import chronicle
from chronicle_chaos.local.control import Control
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.waiting import until
from chronicle_chaos.target import Target
from chronicle_chaos.undo import FileUndoLog

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def _up(folder: Path, database: str, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Target]]:
    target_file = folder / "target.json"
    child = await asyncio.create_subprocess_exec(
        str(chronicle()), "up", "--database", database, "--target-file", str(target_file), "--json", *options,
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


def _runs(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


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
        assert {"chronicle-ledger", "nats", "postgresql"} <= set(target.details["versions"])
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


async def test_asking_twice_to_stop_leaves_nothing_either(short_folder: Path) -> None:
    async with _up(short_folder, "postgres") as (child, _):
        for _ in range(3):
            child.send_signal(signal.SIGINT)
            await asyncio.sleep(0.1)  # apart, or the kernel makes one signal of them
        async with asyncio.timeout(60):
            await child.wait()
    assert _processes_that_mention(str(short_folder)) == []
    assert list(short_folder.iterdir()) == []  # noqa: ASYNC240 - nothing else waits


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux alone")
async def test_not_even_sigkill_leaves_a_process_of_the_ledger(short_folder: Path) -> None:
    async with _up(short_folder, "postgres") as (child, target):
        control = Control(Path(str(target.details["control"])))
        pids = [instance.pid for instance in await control.instances()]
        assert None not in pids
        assert len(pids) > 8
        child.kill()
        await child.wait()

        async def gone() -> bool:
            return not _processes_that_mention(str(short_folder)) and not any(_runs(pid) for pid in pids)

        await until(gone, "every process is gone", seconds=20)


async def test_a_second_ledger_is_refused_while_the_first_lives_and_takes_over_what_a_killed_one_left(
    short_folder: Path,
) -> None:
    async with _up(short_folder, "postgres") as (first, target):
        before = (short_folder / "target.json").read_bytes()
        second = await asyncio.create_subprocess_exec(
            str(chronicle()), "up", "--database", "postgres", "--target-file", str(short_folder / "target.json"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(short_folder)},
        )  # fmt: skip
        async with asyncio.timeout(60):
            _, said = await second.communicate()
        assert second.returncode == 1
        assert f"process {first.pid}" in said.decode()
        assert "--target-file" in said.decode()
        assert (short_folder / "target.json").read_bytes() == before
        async with aiohttp.ClientSession() as session, session.get(f"{target.url}/readyz") as answer:
            assert answer.status == 200
        first.kill()
        await first.wait()
    assert (short_folder / "target.json").read_bytes() == before
    async with _up(short_folder, "postgres") as (third, target):
        assert target.details["pid"] == third.pid != first.pid
    assert not (short_folder / "target.json").exists()


async def test_temporary_files_of_killed_services_go_with_the_ledger(short_folder: Path) -> None:
    data = short_folder / "data"
    async with _up(short_folder, "postgres", "--data-dir", str(data)) as (_, target):
        for instance in await Control(Path(str(target.details["control"]))).instances():
            if instance.component in {"api", "relay", "projector"}:
                environment = Path(f"/proc/{instance.pid}/environ").read_bytes().split(b"\0")  # noqa: ASYNC240
                assert f"TMPDIR={data / 'tmp'}".encode() in environment, instance.name
        (data / "tmp" / "left-by-a-killed-proof").mkdir()
    assert data.is_dir()
    assert not (data / "tmp").exists()


async def test_what_is_posted_is_still_there_when_a_folder_is_opened_again(short_folder: Path) -> None:
    # Too long a name for a Unix socket, as folders of users are.
    data = short_folder / ("a-folder-" * 12)
    account = ""
    for number in range(2):
        up = _up(short_folder, "postgres", "--data-dir", str(data))
        async with up as (_, target), aiohttp.ClientSession() as session:
            if number == 0:
                headers = {"Idempotency-Key": "first"}
                body = {"currency": "EUR"}
                async with session.post(f"{target.url}/v1/accounts", json=body, headers=headers) as answer:
                    account = (await answer.json())["id"]
            async with session.get(f"{target.url}/v1/accounts/{account}") as answer:
                assert answer.status == 200
    assert [path.name for path in short_folder.iterdir()] == [data.name]  # noqa: ASYNC240 - nothing else waits


async def test_a_port_that_is_taken_is_said_and_the_logs_are_named(short_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        arguments = ["up", "--database", "postgres", "--port", str(taken.getsockname()[1])]
        child = await asyncio.create_subprocess_exec(
            str(chronicle()), *arguments, "--target-file", str(short_folder / "target.json"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(short_folder)},
        )  # fmt: skip
        _, said = await child.communicate()
    assert child.returncode == 1
    assert b"address already in use" in said
    kept = Path(said.decode().rsplit("the logs are kept in ", 1)[1].strip())
    assert (kept / "load-balancer.log").exists()
    assert not (short_folder / "target.json").exists()
    assert _processes_that_mention(str(short_folder)) == []


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


async def _heal(injector: LocalInjector, injection: Injection) -> None:
    await injector.heal(injection)

    async def healed() -> bool:
        return (await injector.healed(injection)).proven

    await until(healed, "everything is back", seconds=60)
