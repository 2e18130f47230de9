"""Scenarios of the catalogue on a real ledger of this machine, with shorter windows where a test can afford them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from chronicle_chaos.injectors.injection import Injector
from chronicle_chaos.injectors.local.injector import LocalInjector
from chronicle_chaos.load.steadiness import SteadyState
from chronicle_chaos.local.cluster import LocalCluster, LocalSpec
from chronicle_chaos.record.journal import ScenarioRecord
from chronicle_chaos.run.engine import run_all
from chronicle_chaos.run.options import RunOptions, Timing, new_run
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.scenarios.scenario import Deadlines, Scenario
from chronicle_chaos.target import Target


def shortened(name: str, *, recovery: float | None = None, **deadlines: float) -> Scenario:
    """A scenario with all of its checks, and a steady state that is looked at for a shorter time. `deadlines` are those
    of `Deadlines`; `recovery` is for what will not recover."""
    (scenario,) = find([name])
    steadiness = SteadyState(window=1.5, settle=1.0)
    return replace(
        scenario,
        steadiness=steadiness,
        warm_up=0.5,
        recovery=recovery or scenario.recovery,
        deadlines=Deadlines(**deadlines),
    )


async def run_on_this_machine(
    scenario: Scenario,
    folder: Path,
    *,
    database: Literal["cockroach", "postgres"],
    window: float,
    rate: float = 60.0,
    sabotage: str | None = None,
    injector: Callable[[Target], Injector] = LocalInjector,
) -> ScenarioRecord:
    """Start a ledger, run one scenario, stop the ledger."""
    async with LocalCluster(LocalSpec(database=database, sabotage=sabotage)) as cluster:
        return await run_on(
            cluster.target, scenario, folder, window=window, rate=rate, sabotage=sabotage, injector=injector
        )


async def run_on(
    target: Target,
    scenario: Scenario,
    folder: Path,
    *,
    window: float,
    rate: float = 60.0,
    sabotage: str | None = None,
    injector: Callable[[Target], Injector] = LocalInjector,
) -> ScenarioRecord:
    """Run one scenario on a ledger that is there. `window` in seconds, `rate` in requests a second."""
    options = RunOptions(seed=11, rate=rate, timing=Timing(window=window), sabotage=sabotage)
    journal = await run_all(target, injector(target), [scenario], options, new_run(folder / "runs"))
    return journal.scenarios[0]


def failed_checks(record: ScenarioRecord) -> dict[str, str]:
    """The names of the checks that failed, with what they found."""
    return {c.name: c.message for c in record.checks if c.result == "Failed"}
