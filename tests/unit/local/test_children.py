"""A program that is asked once ends with the call, and with the process that asks, in whichever phase that ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from chronicle_chaos.local.cockroach import CockroachNode, initialise
from chronicle_chaos.local.process import Command, ProcessDied, output_of
from chronicle_chaos.local.waiting import until
from support.local_ledger import runs

# Says its pid, then waits for good, as `cockroach init` does for a node that does not get ready.
CLIENT = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
ASKER = """
import asyncio, sys
from chronicle_chaos.local.process import Command, output_of
asyncio.run(output_of(Command([sys.executable, "-c", *sys.argv[1:]]), seconds=600))
"""


async def _pid(path: Path) -> int:
    async def written() -> bool:
        return bool(_text(path))

    await until(written, "the client runs", seconds=20)
    return int(_text(path))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def _gone(pid: int) -> None:
    async def gone() -> bool:
        return not runs(pid)

    await until(gone, "the client is gone", seconds=20)


async def test_a_client_ends_with_a_call_that_is_cancelled(tmp_path: Path) -> None:
    asking = asyncio.create_task(output_of(Command([sys.executable, "-c", CLIENT, str(tmp_path / "pid")]), seconds=600))
    pid = await _pid(tmp_path / "pid")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await _gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux alone")
async def test_a_client_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    asker = await asyncio.create_subprocess_exec(sys.executable, "-c", ASKER, CLIENT, str(tmp_path / "pid"))
    pid = await _pid(tmp_path / "pid")
    asker.kill()
    await asker.wait()
    await _gone(pid)


async def test_a_client_that_takes_too_long_has_no_status() -> None:
    status, said = await output_of(Command([sys.executable, "-c", "import time; time.sleep(600)"]), seconds=0.3)
    assert status is None
    assert "0.3 s" in said


async def test_a_cluster_is_not_initialised_for_good_where_a_node_has_ended() -> None:
    def ended() -> None:
        raise ProcessDied("cockroach-2 ended")

    nodes = [CockroachNode("cockroach-1", "region-a", 1, 2, 3, [])]
    with pytest.raises(ProcessDied, match="cockroach-2 ended"):
        await initialise(Path("/bin/false"), nodes, ended)
