"""Runs scenarios: one after the other, each through its phases, and leaves a journal that says what came of it.

Where the cluster runs, and how it is broken, is the injector's business; this module knows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chronicle_chaos.injectors.injection import Injector
from chronicle_chaos.judge.judging import cleanup_failure, leave_out
from chronicle_chaos.judge.verdict import exit_status
from chronicle_chaos.record.clock import RunClock
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.record.journal import Journal, ScenarioRecord, TargetRecord, write_journal
from chronicle_chaos.run.options import Progress, RunOptions, point_latest, silent
from chronicle_chaos.run.scenario_run import ScenarioRun
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.scenarios.scenario import Scenario
from chronicle_chaos.target import Target, database_name


async def run_scenarios(
    target: Target,
    injector: Injector,
    names: Sequence[str],
    options: RunOptions,
    run_dir: Path,
    progress: Progress = silent,
) -> Journal:
    """Run the named scenarios (none: all) on `target` and return the journal, which is in `run_dir` too.

    `run_dir` is what `new_run` makes. Everything that goes wrong in a scenario becomes its verdict; the next one runs,
    unless what was broken could not be healed: two faults at once would prove nothing about either.
    Cancelling this task heals what was broken, marks the rest as aborted, writes the journal and then raises
    CancelledError again. The journal's `exit_status` is the exit status for a command. Raises UnknownScenario before
    anything is touched.
    """
    return await run_all(target, injector, find(names, target.database), options, run_dir, progress)


async def run_all(
    target: Target,
    injector: Injector,
    scenarios: Sequence[Scenario],
    options: RunOptions,
    run_dir: Path,
    progress: Progress = silent,
) -> Journal:
    """`run_scenarios` for scenarios that need not be in the catalogue."""
    clock = RunClock()
    database = database_name(target.database, options.versions)
    journal = Journal(
        run_id=run_dir.name,
        start_time=clock.now(),
        target=TargetRecord(
            target.kind, target.database, target.url, {name: list(urls) for name, urls in target.regions.items()}
        ),
        seed=options.seed,
        rate=options.rate,
        versions=dict(options.versions),
        sabotage=options.sabotage,
        scenarios=[ScenarioRecord(s.name, _title(s, database), reason="NotStarted") for s in scenarios],
    )

    def save() -> None:
        write_journal(run_dir, journal)

    save()
    point_latest(run_dir)  # not before there is something to read
    with Recorder(run_dir / "history.jsonl", clock) as recorder:
        try:
            unhealed = ""
            for scenario, record in zip(scenarios, journal.scenarios, strict=True):
                if unhealed:
                    leave_out(record, unhealed)
                    progress(scenario.name, "verdict", f"{record.verdict}: {record.message}")
                    continue
                recorder.begin(scenario.name)
                run = ScenarioRun(scenario, record, target, injector, options, run_dir, recorder, save, progress)
                await run.run()
                progress(scenario.name, "verdict", f"{record.verdict}: {record.message}")
                if failure := cleanup_failure(record):
                    unhealed = f"{scenario.name} left something broken: {failure}"
        finally:
            journal.completion_time = clock.now()
            journal.exit_status = exit_status(r.verdict for r in journal.scenarios)
            save()
    return journal


def _title(scenario: Scenario, database: str) -> str:
    """Return what a report says was broken: where that is the database, which one."""
    return f"{scenario.title} \u00b7 {database}" if scenario.fault.needs_quorum else scenario.title
