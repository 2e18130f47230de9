"""`chronicle scenario`: list, run, report and verify failure scenarios."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from chronicle_chaos.errors import ChaosError, HistoryMissing, UnknownScenario, UnreadableRun
from chronicle_chaos.judge.rejudging import judge_again
from chronicle_chaos.judge.verdict import exit_status
from chronicle_chaos.local.binaries import BinaryMissing
from chronicle_chaos.local.logs import keep_logs
from chronicle_chaos.local.patroni.configuration import UNREPLICATED
from chronicle_chaos.record.journal import Journal, journal_path, read_journal
from chronicle_chaos.run.engine import run_scenarios
from chronicle_chaos.run.options import Progress, RunOptions, Timing, new_run
from chronicle_chaos.scenarios.catalogue import SCENARIOS
from chronicle_chaos.target import Target
from chronicle_cli import exits
from chronicle_cli.scenario_target import Local, database_of, must_suit, open_target, read_target
from chronicle_cli.scenario_view import print_journal, progress_printer
from chronicle_cli.signals import ending_signals
from chronicle_cli.types import RATE, SECONDS
from chronicle_ledger.sabotage import Sabotage

RUNS = Path("runs")
DATABASES = ("auto", "cockroach", "patroni", "postgres")
DURATION_HELP = "How long each fault lasts; not less than the longest that a scenario needs (`scenario list`)."


class NothingBroken(ChaosError):
    """A run was interrupted before its first scenario."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def scenario() -> None:
    """List, run, report and verify failure scenarios."""


@scenario.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Say what there is, and what each must hold."""
    if as_json:
        rows = [
            {"name": s.name, "title": s.title, "claim": s.claim, "windowSeconds": s.window,
             "leastWindowSeconds": s.least_window_seconds, "recoverySeconds": s.recovery,
             "checks": [c.name for c in s.checks]}
            for s in SCENARIOS
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    for s in SCENARIOS:
        click.echo(f"{s.name:24} {s.title}")
        click.echo(f"{'':24} must hold: {s.claim}")
        click.echo(f"{'':24} lasts {s.window:g} s, with --duration {s.least_window_seconds:g} s at least")


@scenario.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--target", default="local", show_default=True, metavar="FILE|local",
              help="A target file, or `local`: start a ledger on this machine for this run.")  # fmt: skip
@click.option("--duration", type=SECONDS, metavar="SECONDS", help=DURATION_HELP)
@click.option("--recovery-deadline", type=SECONDS, metavar="SECONDS",
              help="How long the way back to steady state may take.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Draw the same requests as an earlier run.")
@click.option("--rate", type=RATE, default=30.0, show_default=True, help="Requests a second.")
@click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default=RUNS, show_default=True,
              help="Where the run's folder is made.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the journal as JSON.")
@click.option("--database", type=click.Choice(DATABASES), default="auto", show_default=True,
              help="With --target local: which database to start.")  # fmt: skip
@click.option("--partition-mode", type=click.Choice(["blackhole", "refuse", "reset"]), default="blackhole",
              show_default=True, help="On this machine: what cut links do with bytes and connections.")  # fmt: skip
@click.option("--sabotage", hidden=True, type=click.Choice([*(s.value for s in Sabotage), UNREPLICATED]),
              help="Turn one guarantee off; the run must fail.")  # fmt: skip
def run(
    names: tuple[str, ...],
    target: str,
    duration: float | None,
    recovery_deadline: float | None,
    seed: int | None,
    rate: float,
    runs: Path,
    as_json: bool,
    sabotage: str | None,
    database: str,
    partition_mode: str,
) -> None:
    """Run the named scenarios, or all. Exit status: 0 all passed, 1 any failed, 2 usage, 3 inconclusive or aborted."""
    if sabotage is not None and target != "local":
        raise click.UsageError("--sabotage breaks a ledger on purpose and works with --target local alone")
    where = read_target(target)
    if partition_mode != "blackhole" and where is not None and where.kind != "local":
        raise click.UsageError(f"--partition-mode is for a ledger on this machine; a {where.kind} one drops packets")
    try:
        must_suit(names, database_of(where, database), duration, sabotage)
    except (UnknownScenario, BinaryMissing) as error:
        raise click.UsageError(str(error)) from error
    options = RunOptions(
        seed=secrets.randbelow(2**32) if seed is None else seed,
        rate=rate,
        timing=Timing(duration, recovery_deadline),
        sabotage=sabotage,
    )
    try:
        run_dir = new_run(runs)
    except OSError as error:
        raise click.UsageError(f"--runs: no folder can be made in {runs} ({error.strerror})") from error
    try:
        journal = asyncio.run(_run(where, list(names), options, run_dir, Local(database, partition_mode)))
    except (ChaosError, OSError) as error:
        with suppress(OSError):
            run_dir.rmdir()  # unless there is something in it
        click.echo(f"chronicle scenario run: {error}", err=True)
        sys.exit(exits.USAGE if isinstance(error, UnknownScenario) else exits.INCONCLUSIVE)
    _write_report(run_dir)
    _show(journal, run_dir, as_json=as_json)
    sys.exit(exits.INCONCLUSIVE if journal.exit_status is None else journal.exit_status)


async def _run(where: Target | None, names: list[str], options: RunOptions, run_dir: Path, local: Local) -> Journal:
    """Run until done or interrupted; Ctrl-C, SIGTERM and a terminal that closes alike heal what is broken and leave a
    journal."""
    progress = progress_printer()
    async with AsyncExitStack() as stack:
        task: asyncio.Task[Journal] | None = None
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            progress("", "interrupted", "healing what is broken, then stopping")
            if task is not None:
                task.cancel()

        async def work() -> Journal:
            target, injector, versions = await open_target(stack, where, local, options.sabotage, progress)
            journal = None
            try:
                journal = await run_scenarios(
                    target, injector, names, replace(options, versions=versions), run_dir, progress
                )
            finally:
                if not stopped and (journal is None or journal.exit_status != 0):
                    _keep_logs(target, run_dir, progress)
            return journal

        task = asyncio.create_task(work())
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, stop)
        try:
            return await task
        except asyncio.CancelledError:
            if not stopped:
                raise
            if not journal_path(run_dir).exists():
                raise NothingBroken("interrupted before anything was broken") from None
            return read_journal(run_dir)


@scenario.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True), default=RUNS / "latest")
def report(run_dir: Path) -> None:
    """Write the report of a stored run anew (report.html, timeline.png, junit.xml)."""
    try:
        read_journal(run_dir)
    except UnreadableRun as error:
        raise click.UsageError(str(error)) from error
    _write_report(run_dir)
    click.echo(str(run_dir / "report.html"))


@scenario.command("verify")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True), default=RUNS / "latest")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(run_dir: Path, as_json: bool) -> None:
    """Judge a stored run again from its files. Exit status 1 where a verdict or a check is not what was recorded, 3
    where the report holds no history to judge by."""
    try:
        again = judge_again(run_dir)
    except HistoryMissing as error:
        click.echo(f"chronicle scenario verify: {error}", err=True)
        sys.exit(exits.INCONCLUSIVE)
    except (UnreadableRun, UnknownScenario) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        rows: list[dict[str, Any]] = [
            {"name": r.name, "recorded": r.recorded, "found": r.found.value, "reason": r.reason,
             "differences": list(r.differences)}
            for r in again
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
    else:
        for r in again:
            same = "the same" if not r.differences else "; ".join(r.differences)
            click.echo(f"{r.name:24} {r.found.value:14} {same}")
    differs = any(r.differences for r in again)
    sys.exit(1 if differs else exit_status(r.found for r in again))


def _keep_logs(target: Target, run_dir: Path, progress: Progress) -> None:
    """What did not pass wants to be looked into, and a temporary ledger takes its logs along."""
    try:
        kept = keep_logs(target, run_dir / "logs")
    except OSError as error:  # no reason to hide the verdicts
        progress("", "logs", f"could not be kept: {error}")
        return
    if kept is not None:
        progress("", "logs", f"kept in {kept}")


def _write_report(run_dir: Path) -> None:
    from chronicle_chaos.report import write_report

    try:
        write_report(run_dir)
    except Exception as error:  # noqa: BLE001 - a picture that cannot be drawn must not hide the verdicts
        click.echo(f"the report could not be written: {type(error).__name__}: {error}", err=True)


def _show(journal: Journal, run_dir: Path, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(journal), indent=2).decode())
    else:
        print_journal(journal, run_dir)
