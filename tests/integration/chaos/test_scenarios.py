"""The command on a real ledger of this machine: verdicts, files, and healing when it is interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from chronicle_chaos.journal import read_journal
from chronicle_chaos.rejudging import judge_again

COMMAND = [str(Path(sys.executable).with_name("chronicle")), "scenario", "run"]


def environment() -> dict[str, str]:
    """PostgreSQL even where a cockroach binary is on PATH: it starts faster."""
    return {**os.environ, "CHRONICLE_COCKROACH": "", "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}


async def test_the_command_runs_a_scenario_and_leaves_its_files(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "concurrent-withdrawals", "network-partition", "--duration", "4", "--seed", "5", "--json",
        "--runs", str(tmp_path / "runs"), env=environment(), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, progress = await process.communicate()
    journal = json.loads(out)
    verdicts = {s["name"]: s["verdict"] for s in journal["scenarios"]}
    assert verdicts == {"concurrent-withdrawals": "Passed", "network-partition": "NotApplicable"}, progress.decode()
    assert process.returncode == 0
    assert journal["scenarios"][1]["message"].endswith("chronicle fetch cockroach")
    assert b"steady-state" in progress
    run_dir = (tmp_path / "runs" / "latest").resolve()
    assert {"journal.json", "history.jsonl", "final", "undo.jsonl"} <= {p.name for p in run_dir.iterdir()}
    assert all(not r.differences for r in judge_again(run_dir))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_an_interrupted_run_heals_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
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
        process.send_signal(number)
        _, rest = await process.communicate()
    assert process.returncode == 3, (seen + rest).decode()
    (record,) = read_journal((tmp_path / "runs" / "latest").resolve()).scenarios
    assert (record.verdict, record.cleanup.result) == ("Aborted", "Clean")
    assert record.fault_window is not None
    assert record.fault_window.healed is not None
