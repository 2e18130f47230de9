"""However `chronicle up` ends, no process of it is left, and no file but the data that it was asked to keep."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from chronicle_chaos.local.control import Control
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.waiting import until
from chronicle_chaos.target import Target
from support.local_ledger import STOP_SECONDS, processes_that_mention, refused, runs, short_temporary_folder, up

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short name: the name of a Unix socket ends after 107 bytes."""
    folder = short_temporary_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_asking_three_times_to_stop_leaves_nothing_but_the_data_which_is_there_when_it_is_opened_again(
    short_folder: Path,
) -> None:
    # Too long a name for a Unix socket, as folders of users are, and with all that servers' configurations trip over.
    data = short_folder / ('an "odd" \\one, ä %41' + "a-folder-" * 12)
    async with up(short_folder, "postgres", "--data-dir", str(data)) as (child, target):
        await _the_folder_and_its_database_are_private(data, target)
        await _a_second_one_is_refused_and_changes_nothing(short_folder, data, target)
        async with aiohttp.ClientSession() as session:
            headers, body = {"Idempotency-Key": "first"}, {"currency": "EUR"}
            async with session.post(f"{target.url}/v1/accounts", json=body, headers=headers) as answer:
                account = (await answer.json())["id"]
        await _temporary_files_are_in(data / "tmp", target)
        (data / "tmp" / "left-by-a-killed-proof").mkdir()
        for _ in range(3):
            child.send_signal(signal.SIGINT)
            await asyncio.sleep(0.1)  # apart, or the kernel makes one signal of them
        async with asyncio.timeout(STOP_SECONDS):
            await child.wait()
    assert processes_that_mention(str(short_folder)) == []
    assert [path.name for path in short_folder.iterdir()] == [data.name]  # noqa: ASYNC240 - nothing else waits
    assert not (data / "tmp").exists()

    reopened = up(short_folder, "postgres", "--data-dir", str(data))
    async with reopened as (child, target), aiohttp.ClientSession() as session:
        async with session.get(f"{target.url}/v1/accounts/{account}") as answer:
            assert answer.status == 200
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_SECONDS):
            assert await child.wait() == 0
    assert processes_that_mention(str(short_folder)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux alone")
async def test_not_even_sigkill_leaves_a_process_and_the_next_ledger_takes_over_the_target_file(
    short_folder: Path,
) -> None:
    async with up(short_folder, "postgres") as (first, target):
        left = (short_folder / "target.json").read_bytes()
        left_folder = Path(str(target.details["folder"]))
        pids = [instance.pid for instance in await Control(Path(str(target.details["control"]))).instances()]
        assert None not in pids
        assert len(pids) > 8
        first.kill()
        await first.wait()

        async def gone() -> bool:
            return not processes_that_mention(str(short_folder)) and not any(runs(pid) for pid in pids)

        await until(gone, "every process is gone", seconds=20)
    assert (short_folder / "target.json").read_bytes() == left
    async with up(short_folder, "postgres") as (second, target):
        assert target.details["pid"] == second.pid != first.pid
        assert not left_folder.exists(), "the next start removes it"  # noqa: ASYNC240
    assert not (short_folder / "target.json").exists()


async def test_a_port_that_is_taken_is_said_and_the_logs_are_named(short_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        said = await refused(short_folder, "--port", str(taken.getsockname()[1]))
    assert "address already in use" in said
    kept = Path(said.rsplit("the logs are kept in ", 1)[1].strip())
    assert (kept / "load-balancer.log").exists()
    assert not (short_folder / "target.json").exists()
    assert processes_that_mention(str(short_folder)) == []


async def _the_folder_and_its_database_are_private(data: Path, target: Target) -> None:
    assert not data.stat().st_mode & (stat.S_IRWXO | stat.S_IRGRP)  # noqa: ASYNC240
    url = str(target.details["database_url"])
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await (await connection.execute("SHOW listen_addresses")).fetchone()
        assert found == ("",), "no address of the machine"
    sockets = Path(str(conninfo_to_dict(url)["host"]))
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700  # noqa: ASYNC240


async def _a_second_one_is_refused_and_changes_nothing(short_folder: Path, data: Path, target: Target) -> None:
    def seen() -> dict[Path, tuple[int, int]]:
        there = (path for path in data.rglob("*") if "conf" in path.name or path.is_dir() or path.is_socket())
        return {
            path: (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) for path in there if "data" not in str(path)
        }

    before = seen()
    said = await refused(short_folder, "--data-dir", str(data), "--target-file", str(short_folder / "other.json"))
    assert f"process {target.details['pid']}" in said
    assert seen() == before
    assert await Control(Path(str(target.details["control"]))).instances()


async def _temporary_files_are_in(folder: Path, target: Target) -> None:
    """A proof that is killed leaves its files where they go with the ledger."""
    for instance in await Control(Path(str(target.details["control"]))).instances():
        if instance.component in {"api", "relay", "projector"}:
            environment = Path(f"/proc/{instance.pid}/environ").read_bytes().split(b"\0")  # noqa: ASYNC240
            assert f"TMPDIR={folder}".encode() in environment, instance.name
