"""A stored run is judged again from its files, and a file that was changed changes the verdict."""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from chronicle_chaos.cluster.packed_report import pack, unpack
from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.judge.rejudging import judge_again
from chronicle_chaos.load.steadiness import SteadyState
from chronicle_chaos.record.final import read_final, write_final
from chronicle_chaos.record.journal import read_journal, write_journal
from chronicle_chaos.run.engine import run_all
from chronicle_chaos.run.options import RunOptions, Timing, new_run
from chronicle_chaos.scenarios.concurrent_withdrawals import SCENARIO
from chronicle_cli.scenario import scenario
from support.memory_ledger import MemoryInjector, MemoryLedger, serving

QUICK = replace(SCENARIO, steadiness=SteadyState(window=0.8, settle=0.3), warm_up=0.2)
NAME = SCENARIO.name


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a scenario of the catalogue, with shorter windows, on a ledger in memory."""
    run_dir = new_run(tmp_path_factory.mktemp("runs"))
    asyncio.run(_run(run_dir))
    return run_dir


async def _run(run_dir: Path) -> None:
    ledger = MemoryLedger()
    options = RunOptions(seed=3, rate=120, timing=Timing(window=4.0))
    async with serving(ledger) as target:
        journal = await run_all(target, MemoryInjector(ledger), [QUICK], options, run_dir)
    assert journal.scenarios[0].verdict == "Passed", journal.scenarios[0].message


@pytest.fixture
def run_dir(stored: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(stored, tmp_path / stored.name))


def test_the_same_files_give_the_same_verdict(run_dir: Path) -> None:
    (again,) = judge_again(run_dir)
    assert (again.recorded, again.found, again.differences) == ("Passed", "Passed", ())
    assert {c.name: c.message for c in again.checks} == {
        c.name: c.message for c in read_journal(run_dir).scenarios[0].checks
    }


def test_a_packed_run_is_judged_again_like_the_one_that_was_packed(run_dir: Path, tmp_path: Path) -> None:
    packed = pack(run_dir)
    unpack(packed, tmp_path / "unpacked")
    (again,) = judge_again(tmp_path / "unpacked")
    assert (again.found, again.differences) == ("Passed", ())
    assert len(packed) < sum(it.stat().st_size for it in run_dir.rglob("*")) / 4


def test_a_run_that_is_too_large_to_be_packed_loses_first_what_can_be_made_anew(run_dir: Path, tmp_path: Path) -> None:
    whole = {it.relative_to(run_dir) for it in run_dir.rglob("*") if it.is_file()}
    limit = len(pack(run_dir)) + 2_000
    (run_dir / "report.html").write_bytes(os.urandom(50_000))
    unpack(pack(run_dir, limit), tmp_path / "unpacked")
    assert {it.relative_to(tmp_path / "unpacked") for it in (tmp_path / "unpacked").rglob("*") if it.is_file()} == whole
    assert len(pack(run_dir, 5_000)) <= 5_000


def test_a_report_that_unpacks_to_more_than_its_limit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bomb = lzma.compress(bytes(8 << 20))
    assert len(bomb) < 4096
    with pytest.raises(UnreadableRun, match="more than 4 MiB"):
        unpack(bomb, tmp_path, limit=4 << 20)
    with pytest.raises(UnreadableRun, match="no report"):
        unpack(b"no xz", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_without_its_history_is_neither_confirmed_nor_denied(run_dir: Path) -> None:
    (run_dir / "history.jsonl").unlink()
    result = CliRunner().invoke(scenario, ["verify", str(run_dir)])
    assert result.exit_code == 3
    assert f"holds no history of {NAME}" in result.stderr
    (run_dir / "history.jsonl").touch()
    assert CliRunner().invoke(scenario, ["verify", str(run_dir)]).exit_code == 3


def lose_an_entry(run_dir: Path) -> None:
    reads = read_final(run_dir, NAME)
    assert reads is not None
    next(iter(reads.accounts.values())).entries.pop()
    write_final(run_dir, NAME, reads)


def forget_the_final_reads(run_dir: Path) -> None:
    (run_dir / "final" / f"{NAME}.json").unlink()


def unprove_the_fault(run_dir: Path) -> None:
    path = run_dir / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"f":"prove"' not in line))


def claim_more(run_dir: Path) -> None:
    journal = read_journal(run_dir)
    journal.scenarios[0].checks[0].result = "Failed"
    write_journal(run_dir, journal)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lose_an_entry, "Failed"),
        (forget_the_final_reads, "Inconclusive"),
        (unprove_the_fault, "Inconclusive"),
        (claim_more, "Passed"),
    ],
)
def test_changed_files_are_noticed(run_dir: Path, change: Callable[[Path], None], found: str) -> None:
    change(run_dir)
    (again,) = judge_again(run_dir)
    assert again.found == found
    assert again.differences
    result = CliRunner().invoke(scenario, ["verify", str(run_dir), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["found"] == found


def test_verify_says_that_nothing_differs(run_dir: Path) -> None:
    result = CliRunner().invoke(scenario, ["verify", str(run_dir)])
    assert result.exit_code == 0
    assert "the same" in result.stdout


def test_a_folder_that_is_no_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRun):
        judge_again(tmp_path)
    for command in ("verify", "report"):
        result = CliRunner().invoke(scenario, [command, str(tmp_path)])
        assert result.exit_code == 2
        assert "is this the folder of a run?" in result.stderr


def test_the_list_names_all_five_with_what_must_hold() -> None:
    rows = json.loads(CliRunner().invoke(scenario, ["list", "--json"]).stdout)
    assert {r["name"] for r in rows} == {
        "cockroach-node-failure", "nats-outage", "concurrent-withdrawals", "network-partition", "api-crash"
    }  # fmt: skip
    assert all(r["claim"] and r["checks"] for r in rows)
    assert "must hold" in CliRunner().invoke(scenario, ["list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nope"], "there is no scenario 'nope'"),
        (["run", "--target", "there.json", "--sabotage", "idempotency"], "local alone"),
        (["run", "--sabotage", "nope"], "'nope'"),
        (["run", "--target", "missing.json"], "missing.json"),
        (["run", "--rate", "0"], "--rate"),
    ],
)
def test_wrong_usage_is_exit_status_2_with_a_reason(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(scenario, arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []  # wrong usage leaves nothing behind


def test_sabotage_is_not_in_the_help() -> None:
    assert "sabotage" not in CliRunner().invoke(scenario, ["run", "--help"]).stdout
