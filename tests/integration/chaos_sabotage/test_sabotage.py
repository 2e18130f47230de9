# ruff: noqa: ARG002 - the injector here keeps the signatures of the protocol
"""The real ledger with one guarantee turned off: the checks that are there for it fail, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from chronicle_chaos.faults.fault import Fault
from chronicle_chaos.injectors.injection import Injection, Observation, UndoLog
from chronicle_chaos.injectors.local.injector import LocalInjector
from chronicle_chaos.judge.rejudging import judge_again
from chronicle_chaos.local.binaries import chronicle, find_cockroach
from chronicle_chaos.record.journal import Journal, read_journal
from support.scenario_runs import failed_checks, run_on_this_machine, shortened

pytestmark = pytest.mark.sabotage

TIMED = {"availability", "health"}
"""What a machine that is busy with other things can make fail as well; the guarantees cannot be excused so."""


@pytest.mark.parametrize(
    ("sabotage", "finds"),
    [
        ("balance-floor", {"ten-of-hundred", "floor", "agreement"}),
        ("version-check", {"ten-of-hundred", "conservation", "durability", "linearizability", "agreement"}),
        ("outbox-transaction", {"agreement"}),
        ("projector-rule", {"agreement"}),
    ],
)
async def test_each_guarantee_has_checks_that_fail_without_it(sabotage: str, finds: set[str], tmp_path: Path) -> None:
    # What will never agree, or never be quick again, need not be waited for as long as what is only late.
    scenario = shortened("concurrent-withdrawals", recovery=20.0, drain=10.0)
    record = await run_on_this_machine(
        scenario, tmp_path, database="postgres", window=3.0, rate=30.0, sabotage=sabotage
    )
    assert record.verdict == "Failed", record.message
    assert set(failed_checks(record)) - TIMED == finds, failed_checks(record)


async def test_a_relay_that_drops_is_found_once_nats_is_back(tmp_path: Path) -> None:
    record = await run_on_this_machine(
        shortened("nats-outage", recovery=10.0, drain=5.0),
        tmp_path,
        database="postgres",
        window=6.0,  # so long that a busy machine posts something in it
        sabotage="relay-early-delete",
    )
    assert record.fault_confirmed
    assert record.verdict == "Failed", record.message
    assert set(failed_checks(record)) - TIMED - {"lag", "latency"} == {"agreement"}, failed_checks(record)


async def test_the_command_fails_a_ledger_without_idempotency_and_its_files_say_the_same(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(chronicle()), "scenario", "run", "concurrent-withdrawals", "--database", "postgres", "--duration", "3",
        "--seed", "11", "--rate", "60", "--sabotage", "idempotency", "--json", "--runs", str(tmp_path / "runs"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, said = await process.communicate()
    assert process.returncode == 1, said.decode()
    run_dir = (tmp_path / "runs" / "latest").resolve()
    journal = read_journal(run_dir)
    assert msgspec.json.decode(out, type=Journal) == journal
    assert journal.sabotage == "idempotency"
    (record,) = journal.scenarios
    assert record.verdict == "Failed"
    assert set(failed_checks(record)) - TIMED == {"exactly-once"}, failed_checks(record)
    assert (run_dir / "logs" / "api-1.log").exists()
    assert all(not r.differences for r in judge_again(run_dir))


@pytest.mark.alone
@pytest.mark.cockroach
@pytest.mark.skipif(find_cockroach() is None, reason="no cockroach binary (CHRONICLE_COCKROACH, PATH, chronicle fetch)")
async def test_a_minority_that_accepts_is_found(tmp_path: Path) -> None:
    record = await run_on_this_machine(
        shortened("network-partition", recovery=30.0),
        tmp_path,
        database="cockroach",
        window=20.0,
        rate=30.0,
        sabotage="minority-rejection",
    )
    assert record.fault_confirmed
    assert record.verdict == "Failed", record.message
    assert {"minority-rejects", "durability"} <= set(failed_checks(record))
    assert "without a quorum" in failed_checks(record)["minority-rejects"]
    assert record.lost_writes is not None
    assert record.lost_writes > 0


class Idle(LocalInjector):
    """Says that it broke something, and did not."""

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        undo.record("nothing was done", {})
        victims = await self._control.instances(fault.component)  # type: ignore[attr-defined]
        before = {v.name: {"pid": v.pid, "started_at": v.started_at, "port": v.port} for v in victims}
        return Injection(fault, tuple(before), {"before": before, "seed": rng.randrange(9)})

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        raise AssertionError("an unproven fault is not observed")


async def test_an_injector_that_does_nothing_is_inconclusive(tmp_path: Path) -> None:
    record = await run_on_this_machine(
        shortened("nats-outage", prove=2.0), tmp_path, database="postgres", window=2.0, injector=Idle
    )
    assert (record.verdict, record.reason) == ("Inconclusive", "FaultUnproven"), record.message
    assert not record.fault_confirmed
    assert failed_checks(record) == {}
