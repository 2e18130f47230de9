"""A supervised process comes back when it dies, stays away when told to, and never outlives its parent."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from chronicle_chaos.local.environment import inherited
from chronicle_chaos.local.process import Command, ProcessDied, SupervisedProcess
from chronicle_chaos.local.waiting import until

FOREVER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]

PARENT = """
import asyncio, sys
from pathlib import Path
from chronicle_chaos.local.process import Command, SupervisedProcess

async def main():
    command = Command([sys.executable, "-c", "import time; time.sleep(600)"])
    child = SupervisedProcess("child", command, Path(sys.argv[1]))
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_a_killed_process_comes_back_with_another_pid(tmp_path: Path) -> None:
    process = SupervisedProcess("p", Command(FOREVER), tmp_path / "log")
    await process.start()
    first = process.pid
    await process.kill(keep_away=False)

    async def back() -> bool:
        return process.pid not in {None, first}

    await until(back, "it runs again", seconds=10)
    await process.stop()
    assert process.pid is None


async def test_a_process_that_is_kept_away_comes_back_only_when_it_is_released(tmp_path: Path) -> None:
    process = SupervisedProcess("p", Command(FOREVER), tmp_path / "log")
    await process.start()
    assert await process.kill(keep_away=True) is not None
    await asyncio.sleep(1.0)  # longer than the supervisor's first pause: what must not happen needs time to happen
    assert (process.pid, process.starts) == (None, 1)
    process.release()

    async def back() -> bool:
        return process.pid is not None

    await until(back, "it runs again", seconds=10)
    await process.stop()


async def test_a_process_that_is_just_coming_back_can_be_kept_away(tmp_path: Path) -> None:
    """An outage kills three servers, one of which the supervisor may be starting at that very moment."""
    starting = asyncio.Event()

    class Watched(SupervisedProcess):
        async def _spawn(self) -> None:
            starting.set()
            await super()._spawn()

    process = Watched("p", Command(FOREVER), tmp_path / "log")
    await process.start()
    starting.clear()
    await process.kill(keep_away=False)
    await starting.wait()
    assert await process.kill(keep_away=True) is not None
    assert (process.pid, process.starts) == (None, 2)
    await process.stop()


async def test_a_process_hears_only_what_it_is_meant_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHRONICLE_KEYS_FILE", "of-another-ledger")
    show = [sys.executable, "-c", "import os; print(os.environ.get('CHRONICLE_KEYS_FILE'), os.environ['OURS'])"]
    for command, expected in (
        (Command(show, {"OURS": "1"}), "of-another-ledger 1"),
        (Command(show, {"OURS": "1"}, inherited=inherited()), "None 1"),
    ):
        process = SupervisedProcess("p", command, tmp_path / expected)
        assert await process.run_once(seconds=30) == 0
        assert (tmp_path / expected).read_text().strip() == expected


async def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = SupervisedProcess("p", Command([sys.executable, "-c", stubborn]), tmp_path / "log", grace=0.3)
    await process.start()

    async def deaf() -> bool:
        return "deaf" in process.last_words()

    await until(deaf, "it ignores the signal", seconds=10)
    pid = process.pid
    assert pid is not None
    await process.stop()
    assert not _alive(pid)


async def test_a_program_that_does_not_exist_is_reported_by_name(tmp_path: Path) -> None:
    process = SupervisedProcess("p", Command([str(tmp_path / "nothing")]), tmp_path / "log")
    with pytest.raises(ProcessDied, match="nothing cannot be run"):
        await process.start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux alone")
async def test_not_even_sigkill_of_the_parent_leaves_an_orphan(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    parent = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert _alive(child)
    parent.kill()
    await parent.communicate()

    async def gone() -> bool:
        return not _alive(child)

    await until(gone, "the child is gone", seconds=5)
