"""`chronicle up`, `demo` and `fetch`: a ledger as processes of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import IO

import click

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.fetch import BASE_URL, VERSION, FetchFailed, fetch_cockroach
from chronicle_chaos.scenarios.catalogue import NAMES
from chronicle_cli import scenario
from chronicle_cli.signals import ending_signals
from chronicle_cli.types import RATE, SECONDS

DATABASES = click.Choice(scenario.DATABASES)
DATABASE_HELP = (
    "auto: three CockroachDB nodes where a cockroach binary is found, else three PostgreSQL nodes under Patroni;"
    " postgres: one."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--database", type=DATABASES, default="auto", show_default=True, help=DATABASE_HELP)
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False),
              help="Keep data and logs there; without it they go with the ledger.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), help="The load balancer's port; any free one by default.")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="A file of hashed API keys (`chronicle keys new`); without one the ledger is open.")  # fmt: skip
@click.option("--key-file", type=click.File(), metavar="FILE|-",
              help="Holds the key that scenarios use, where --keys is given; `-`: standard input. The variable"
                   " CHRONICLE_API_KEY does as well; an argument would be seen by others.")  # fmt: skip
@click.option("--target-file", type=click.Path(path_type=Path, dir_okay=False), default=Path("target.json"),
              show_default=True, help="Written for `scenario run --target`, removed at the end.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the target as one line of JSON when all is ready.")
def up(
    database: str,
    data_dir: Path | None,
    port: int | None,
    keys_file: Path | None,
    key_file: IO[str] | None,
    target_file: Path,
    as_json: bool,
) -> None:
    """Start a ledger on this machine, all of it, and keep it until Ctrl-C.

    Exit status 1 where it does not start, or where the target file belongs to another one that runs.
    """
    from chronicle_chaos.local.cluster import LocalCluster, LocalSpec
    from chronicle_chaos.local.target_file import TargetFile

    spec = LocalSpec(
        database=database,
        folder=data_dir,
        port=port,
        keys_file=keys_file.absolute() if keys_file else None,
        api_key=key_file.readline().strip() if key_file else os.environ.get("CHRONICLE_API_KEY"),
    )
    if key_file and not spec.api_key:
        raise click.UsageError("--key-file holds no key in its first line; `chronicle keys new` makes one")

    async def keep() -> None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, lambda: task.cancel() if task else None)
        began = time.monotonic()

        def progress(message: str) -> None:
            click.echo(f"{time.monotonic() - began:6.1f} s  {message}", err=True)

        with TargetFile(target_file) as file:
            async with LocalCluster(spec, progress) as cluster:
                target = cluster.target
                file.write(target)
                if as_json:
                    told = {"url": target.url, "database": target.database, "database_url": cluster.database_url}
                    click.echo(json.dumps({**told, "regions": target.regions}))
                else:
                    progress("ready")
                    click.echo(f"ledger     {target.url}\nhealth     {target.url}/health\ndocs       {target.url}/docs")
                    click.echo(f"database   psql {shlex.quote(cluster.database_url)}\nlogs       {cluster.folder}")
                    click.echo(f"scenarios  chronicle scenario run --target {shlex.quote(str(target_file))}")
                    click.echo("Ctrl-C ends it.", err=True)
                await asyncio.Event().wait()

    try:
        asyncio.run(keep())
    except asyncio.CancelledError:
        click.echo("stopped", err=True)
    except (ChaosError, OSError) as error:
        click.echo(f"chronicle up: {error}", err=True)
        sys.exit(1)


OPENING = """\
This starts a real ledger on this machine: a database of three nodes, three NATS servers, three API replicas. It breaks
that ledger in five ways under load, and judges what came of it. It takes about five minutes, needs no container and no
root, and leaves the folder runs/ behind. Ctrl-C mends what is broken and stops."""

CLOSING = """
the page         {report}
to look around   chronicle up    (keeps a ledger like this one, and prints where it is)
on Kubernetes    docs/operator.md (one resource, which runs the same five)"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--database", type=DATABASES, default="auto", show_default=True, help=DATABASE_HELP)
@click.option("--duration", type=SECONDS, metavar="SECONDS", help=scenario.DURATION_HELP)
@click.option("--rate", type=RATE, default=30.0, show_default=True, help="Requests a second.")
@click.option("--seed", type=click.IntRange(min=0), help="Draw the same requests as an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="Print the journal as JSON.")
@click.pass_context
def demo(
    ctx: click.Context,
    names: tuple[str, ...],
    database: str,
    duration: float | None,
    rate: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Start a ledger on this machine, break it in five ways under load, and print one table.

    Exit status: 0 all passed or not applicable, 1 any failed, 2 usage, 3 inconclusive or aborted.
    """
    click.echo(OPENING, err=True)
    began = time.time()
    try:
        ctx.invoke(
            scenario.run, names=names or NAMES, target="local", duration=duration, recovery_deadline=None, seed=seed,
            rate=rate, runs=scenario.RUNS, as_json=as_json, sabotage=None, database=database,
            partition_mode="blackhole",
        )  # fmt: skip
    finally:
        report = scenario.RUNS / "latest" / "report.html"
        if report.exists() and report.stat().st_mtime >= began:
            click.echo(CLOSING.format(report=report), err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def fetch() -> None:
    """Download servers for `up` and `demo`."""


@fetch.command()
@click.option("--base-url", default=BASE_URL, show_default=True, envvar="CHRONICLE_COCKROACH_BASE_URL",
              help="Where the archive is: the publisher, or a mirror.")  # fmt: skip
@click.option("--version", default=VERSION, show_default=True, help="The release to download.")
@click.option("--sha256", metavar="HEX", help="The archive's checksum, where it is of another release.")
@click.option("--plain-http", is_flag=True, help="Allow an address without TLS; the checksum still decides.")
def cockroach(base_url: str, version: str, sha256: str | None, *, plain_http: bool) -> None:
    """Download CockroachDB's official archive, check its SHA-256, and cache the binary.

    That of the default release is known. It never comes from where the archive does.
    """
    shown = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        share = done * 10 // total if total else done >> 24
        if share != shown:
            shown = share
            click.echo(f"{done >> 20} of {total >> 20 if total else '?'} MiB", err=True)

    try:
        found = fetch_cockroach(base_url, version, progress=progress, sha256=sha256, plain_http=plain_http)
        click.echo(str(found))
    except FetchFailed as error:
        click.echo(f"chronicle fetch: {error}; without it, `chronicle demo` goes on with PostgreSQL", err=True)
        sys.exit(1)
