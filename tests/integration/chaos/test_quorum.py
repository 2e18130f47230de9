"""Three real CockroachDB nodes in two regions, one ledger for all of it: the faults that need a quorum, each with its
evidence. What the scenarios make of them, `make demo` and `make compose-test` show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.injection import Injection
from chronicle_chaos.injectors.local.injector import LocalInjector
from chronicle_chaos.local.binaries import find_cockroach
from chronicle_chaos.local.cluster import LocalCluster, LocalSpec
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.local.waiting import until
from chronicle_chaos.run.undo import FileUndoLog
from chronicle_chaos.target import Target

pytestmark = [
    pytest.mark.alone,
    pytest.mark.cockroach,
    pytest.mark.skipif(
        find_cockroach() is None, reason="no cockroach binary (CHRONICLE_COCKROACH, PATH, chronicle fetch)"
    ),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target() -> AsyncIterator[Target]:
    """A ledger on three nodes."""
    async with LocalCluster(LocalSpec(database="cockroach")) as cluster:
        yield cluster.target


@pytest.mark.parametrize(
    ("mode", "after"),
    [
        (Mode.BLACKHOLE, {"timed out", "answers"}),
        (Mode.REFUSE, {"refused", "closed", "reset", "answers"}),
        (Mode.RESET, {"reset", "answers"}),
    ],
)
async def test_a_partition_cuts_both_ways_and_nothing_inside_the_majority(
    target: Target, tmp_path: Path, mode: Mode, after: set[str]
) -> None:
    injector = LocalInjector(target, cut=mode)
    await injector.preflight(Partition())
    cut = await injector.inject(Partition(), FileUndoLog(tmp_path / "undo.jsonl", "test"), Random(1))
    evidence = await injector.evidence(cut)
    assert evidence.proven, evidence
    assert {o.after for o in evidence.observations} <= after
    within = [o.subject for o in evidence.observations if o.after == "answers"]
    assert sorted(within) == [f"within region-a to {kind}-{n}" for kind in ("cockroach", "nats") for n in (1, 2)]
    await _heal(injector, cut)


async def test_a_killed_node_is_the_one_that_held_most_leases(target: Target, tmp_path: Path) -> None:
    injector = LocalInjector(target)
    await injector.preflight(NodeKill(Component.COCKROACH))
    undo = FileUndoLog(tmp_path / "undo.jsonl", "test")
    kill = await injector.inject(NodeKill(Component.COCKROACH), undo, Random(1))
    evidence = await injector.evidence(kill)
    assert evidence.proven
    assert evidence.observations[0].after == f"{kill.targets[0]} held most"
    await _heal(injector, kill)


async def _heal(injector: LocalInjector, injection: Injection) -> None:
    await injector.heal(injection)

    async def healed() -> bool:
        return (await injector.healed(injection)).proven

    await until(healed, "everything is back", seconds=60)
