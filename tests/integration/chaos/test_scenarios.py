"""The command on a real ledger of this machine: verdicts, files, and healing when it is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chronicle_chaos.judge.rejudging import judge_again
from chronicle_chaos.record.journal import read_journal

CHRONICLE = str(Path(sys.executable).with_name("chronicle"))
COMMAND = [CHRONICLE, "scenario", "run", "--database", "postgres"]


def environment() -> dict[str, str]:
    """Return the environment of the commands: without colours."""
    return {**os.environ, "NO_COLOR": "1"}


@pytest.mark.timeout(600)
async def test_the_demo_breaks_a_real_ledger_and_says_what_came_of_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        CHRONICLE, "demo", "concurrent-withdrawals", "api-crash", "network-partition", "--database", "postgres",
        "--duration", "12", "--seed", "5",
        cwd=tmp_path, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, progress = await process.communicate()
    run_dir = (tmp_path / "runs" / "latest").resolve()
    journal = read_journal(run_dir)
    assert {s.name: s.verdict for s in journal.scenarios} == {
        "concurrent-withdrawals": "Passed",
        "api-crash": "Passed",
        "network-partition": "NotApplicable",
    }, progress.decode()
    assert process.returncode == journal.exit_status == 0
    for record in journal.scenarios[:2]:
        assert record.fault_confirmed
        assert record.evidence
        assert record.cleanup.result == "Clean"
        assert record.lost_writes == 0
    assert journal.scenarios[2].message.endswith("chronicle fetch cockroach")
    assert journal.versions["postgresql"]
    assert b"steady-state" in progress
    assert b"in each 10 x 201 and 90 x 409 insufficient_funds, balance 0" in out
    assert out.count(b"all accounts sum to 0; no balance below its floor; nothing lost; nothing twice;") == 2
    assert out.count(b"read model: ") == out.count(b" events behind at most, 0 at the end") == 2
    shown = [line.split() for line in out.decode().splitlines()]
    assert [line[-1] for line in shown[1:4]] == [s.verdict for s in journal.scenarios]
    assert (tmp_path / shown[-1][-1]).samefile(run_dir / "report.html")
    assert {"journal.json", "history.jsonl", "final", "undo.jsonl", "report.html", "junit.xml"} <= {
        p.name for p in run_dir.iterdir()
    }
    assert all(not r.differences for r in judge_again(run_dir))


@pytest.fixture
def _hangups_end_a_process() -> Iterator[None]:
    """A shell's `nohup` has them ignored, and every child inherits that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_an_interrupted_run_heals_and_leaves_no_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "nats-outage", "--runs", str(tmp_path / "runs"), env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    seen = b""
    async with asyncio.timeout(120):
        while b" observe " not in seen:
            line = await process.stderr.readline()
            assert line, seen.decode()
            seen += line
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
    assert process.returncode == 3, (seen + rest).decode()
    (record,) = read_journal((tmp_path / "runs" / "latest").resolve()).scenarios
    assert (record.verdict, record.cleanup.result) == ("Aborted", "Clean")
    assert record.fault_window is not None
    assert record.fault_window.healed is not None


@pytest.mark.usefixtures("_hangups_end_a_process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_interrupted_while_the_ledger_starts_it_says_so_and_leaves_the_latest_run_alone(
    tmp_path: Path, number: signal.Signals
) -> None:
    runs = tmp_path / "runs"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "nats-outage", "--runs", str(runs), env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(120):
        first = await process.stderr.readline()
        assert b"start" in first
        process.send_signal(number)
        out, said = await process.communicate()
    assert process.returncode == 3, said.decode()
    assert b"interrupted before anything was broken" in said
    assert b"Traceback" not in said
    assert (out, list(runs.iterdir())) == (b"", [])
