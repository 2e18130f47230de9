"""`chronicle status`, `run` and `report` (also `kubectl chronicle …`, which has `backup`): ledgers of a cluster."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chronicle_chaos.judge.verdict import exit_status
from chronicle_cli import cluster_follow, exits
from chronicle_cli.cluster_follow import Outcome
from chronicle_cli.types import Finite

if TYPE_CHECKING:
    from chronicle_kube.api import Kube
    from chronicle_kube.kind import Kind

Item = dict[str, Any]
Result = TypeVar("Result")


def _options(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option("-n", "--namespace", help="Namespace; the context's own when absent.")(function)
    return click.option("--context", "context", help="Context of the kubeconfig.")(function)


@click.command()
@click.argument("name", required=False)
@_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Ledgers of every namespace.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(name: str | None, namespace: str | None, context: str | None, all_namespaces: bool, as_json: bool) -> None:
    """Show the ledgers, or the conditions and verdicts of one."""
    from chronicle_cli import cluster_view as view

    cluster = _Cluster(context, namespace)
    if name is None:
        found: Any = _do(cluster.list(everywhere=all_namespaces))
        if as_json:
            click.echo(json.dumps(found, indent=2))
        elif found:
            view.ledgers(found)
        else:
            click.echo("no ChronicleLedgers here; try -A, or apply one of manifests/samples", err=True)
        return
    ledger = _do(cluster.get(name))
    click.echo(json.dumps(ledger, indent=2)) if as_json else view.one(ledger)


@click.command()
@click.argument("name")
@_options
@click.option("--run-id", help="Name of the run (a-z, 0-9, hyphens); the time when absent.")
@click.option("--no-wait", is_flag=True, help="Start it and return.")
@click.option(
    "--timeout",
    type=Finite(min=0, max=604_800),
    default=1800.0,
    show_default=True,
    help="Seconds to follow the run for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def run(
    name: str,
    namespace: str | None,
    context: str | None,
    run_id: str | None,
    no_wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Start a run of the failure scenarios on a ledger and follow it.

    Exit status: 0 all passed, 1 any failed, 2 usage, 3 inconclusive, aborted, not begun or not finished in time.
    """
    from chronicle_cli import cluster_view as view

    cluster = _Cluster(context, namespace)
    chosen = run_id or f"manual-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    _do(cluster.request_run(name, chosen))
    click.echo(f"run {chosen} asked for", err=True)
    if no_wait:
        return
    try:
        found = _do(cluster.follow(name, chosen, timeout))
    except KeyboardInterrupt:
        click.echo(f"interrupted; the run {chosen} goes on: kubectl chronicle status {name}", err=True)
        sys.exit(exits.INTERRUPTED)
    if found.why_not:
        click.echo(f"no verdicts after {timeout:g} s: {found.why_not}", err=True)
        click.echo(f"see: kubectl chronicle status {name}", err=True)
        sys.exit(exits.INCONCLUSIVE)
    if as_json:
        click.echo(json.dumps(found.scenarios, indent=2))
    else:
        view.verdicts(found.scenarios)
    click.echo(f"the report: kubectl chronicle report {name} -o DIR", err=True)
    sys.exit(exit_status(it.get("verdict") for it in found.scenarios))


@click.command()
@click.argument("name")
@_options
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to fill.")
@click.option("--slot", type=click.IntRange(min=0), help="An older report, by the number at the end of its ConfigMap.")
def report(name: str, namespace: str | None, context: str | None, output: Path, slot: int | None) -> None:
    """Fetch the report of the latest run: journal, history, page, JUnit."""
    from chronicle_chaos.errors import ChaosError

    cluster = _Cluster(context, namespace)
    packed = _do(cluster.packed_report(name, slot))
    output.mkdir(parents=True, exist_ok=True)
    from chronicle_chaos.cluster.packed_report import unpack
    from chronicle_chaos.report import write_report

    try:
        unpack(packed, output)
    except ChaosError as error:
        raise click.ClickException(str(error)) from error
    try:
        write_report(output)  # the image of the run draws no pictures
    except (ImportError, ChaosError) as error:
        click.echo(f"page and picture could not be made here: {error}", err=True)
    for it in sorted(output.iterdir()):
        click.echo(str(it))


@click.command()
@click.argument("name")
@_options
@click.option("--full", is_flag=True, help="Begin a new chain, also where there is a backup to continue.")
@click.option("--no-wait", is_flag=True, help="Ask for it and return.")
@click.option(
    "--timeout",
    type=Finite(min=0, max=604_800),
    default=3600.0,
    show_default=True,
    help="Seconds to follow the backup for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print its status as JSON.")
def backup(
    name: str, namespace: str | None, context: str | None, full: bool, no_wait: bool, timeout: float, as_json: bool
) -> None:
    """Have a ledger backed up now, to where its spec.backup says, and follow that.

    Exit status: 0 made (and verified, unless spec.backup.verify is Disabled), 1 refused, 2 usage, 3 not decided or not
    finished in time.
    """
    cluster = _Cluster(context, namespace)
    chosen = f"{name}-manual-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    _do(cluster.request_backup(name, chosen, full=full))
    click.echo(f"backup {chosen} asked for", err=True)
    if no_wait:
        return
    try:
        found = _do(cluster.follow_backup(chosen, timeout))
    except KeyboardInterrupt:
        click.echo(f"interrupted; it goes on: kubectl get clb {chosen}", err=True)
        sys.exit(exits.INTERRUPTED)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    if found.get("phase") == "Succeeded":
        if not as_json:
            click.echo(
                f"{found['id']}  {found['kind']}  {found['ledgerTransactions']:,} transactions"
                f"  {found['sizeBytes']:,} bytes  {'verified' if found.get('verified') else 'not verified'}"
                f"  head {found['head']}"
            )
        return
    why = found.get("message") or f"still {found.get('phase') or 'Pending'} after {timeout:g} s"
    click.echo(f"{found.get('reason') or 'no backup yet'}: {why}", err=True)
    sys.exit(1 if found.get("decided") else exits.INCONCLUSIVE)


@click.command("run-in-cluster", hidden=True)
def run_in_cluster() -> None:
    """Do what CHRONICLE_RUN says; started by the operator, in a Job."""
    from chronicle_chaos.cluster import job as cluster_run

    try:
        order = cluster_run.order_from()
    except ValueError as error:
        click.echo(f"chronicle: {error}", err=True)
        sys.exit(exits.USAGE)

    def say(scenario: str, phase: str, message: str) -> None:
        click.echo(f"{scenario}: {phase}: {message}", err=True)

    root = Path(tempfile.mkdtemp(prefix="chronicle-run-"))
    verdict = asyncio.run(cluster_run.run(order, root, say))
    click.echo(f"exit status of the verdicts: {verdict}", err=True)


def _do(work: Coroutine[Any, Any, Result]) -> Result:
    from chronicle_kube.errors import AccessError, KubeError

    try:
        return asyncio.run(work)
    except AccessError as error:
        click.echo(f"chronicle: no access to a cluster: {error}; is KUBECONFIG set?", err=True)
    except KubeError as error:
        silent = "the cluster does not answer: " if error.code is None else ""
        click.echo(f"chronicle: {silent}{error.detail or error}", err=True)
    sys.exit(exits.USAGE)


class _Cluster:
    """ChronicleLedgers in one namespace of one context."""

    def __init__(self, context: str | None, namespace: str | None) -> None:
        self._context = context
        self._namespace = namespace

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Kube, str]]:
        """Yield the cluster and the namespace that counts."""
        from chronicle_kube.client import connect

        kube, namespace = await connect("kubectl-chronicle", context=self._context)
        try:
            yield kube, self._namespace or namespace
        finally:
            await kube.close()

    async def list(self, *, everywhere: bool) -> list[Item]:
        """Return the ledgers of the namespace, or of all."""
        from chronicle_operator.kube.kinds import LEDGER

        async with self._connected() as (kube, namespace):
            return await kube.list(LEDGER, None if everywhere else namespace)

    async def get(self, name: str) -> Item:
        """Return a ledger."""
        async with self._connected() as (kube, namespace):
            return await _ledger(kube, namespace, name)

    async def request_run(self, name: str, run_id: str) -> None:
        """Ask for a run. Ends the command where a run of that name is over: nothing would start."""
        from chronicle_operator.kube.kinds import LEDGER

        async with self._connected() as (kube, namespace):
            if cluster_follow.finished_before(await _ledger(kube, namespace, name), run_id):
                raise click.UsageError(
                    f"run {run_id} is over already: choose another --run-id, or see kubectl chronicle status {name}"
                )
            await kube.merge(LEDGER, namespace, name, {"spec": {"resilience": {"runID": run_id}}})

    async def follow(self, name: str, run_id: str, seconds: float) -> Outcome:
        """See `cluster_follow.follow`; what goes on is told on stderr."""
        from chronicle_kube.errors import KubeError

        async with self._connected() as (kube, namespace):

            async def read() -> Item:
                try:
                    return await _ledger(kube, namespace, name)
                except KubeError as error:
                    if error.code is not None and error.code < 500 and error.code != 429:
                        raise
                    raise cluster_follow.Unanswered(error.detail or str(error)) from error

            return await cluster_follow.follow(read, run_id, seconds, lambda now: click.echo(now, err=True))

    async def request_backup(self, name: str, backup_name: str, *, full: bool) -> None:
        """Ask for a backup. Ends the command where the ledger's spec does not say where to."""
        from chronicle_operator.kube.kinds import BACKUP

        async with self._connected() as (kube, namespace):
            if not (await _ledger(kube, namespace, name))["spec"].get("backup"):
                raise click.UsageError(
                    f"{name} has no spec.backup, so there is nowhere to back it up to; see docs/backup.md, Kubernetes"
                )
            meta = {"name": backup_name, "namespace": namespace}
            spec = {"ledgerName": name, **({"full": True} if full else {})}
            body = {"apiVersion": BACKUP.api_version, "kind": BACKUP.kind, "metadata": meta, "spec": spec}
            await kube.create(BACKUP, body)

    async def follow_backup(self, backup_name: str, seconds: float) -> Item:
        """Return the status of a backup once it has ended, or the one of the time when `seconds` are over."""
        from chronicle_operator.kube.kinds import BACKUP

        told = ""
        end = time.monotonic() + seconds
        async with self._connected() as (kube, namespace):
            while True:
                status: Item = (await _get(kube, BACKUP, namespace, backup_name)).get("status") or {}
                now = " ".join(filter(None, (status.get("phase", "Pending"), status.get("message"))))
                if status.get("phase") in ("Succeeded", "Failed") or time.monotonic() > end:
                    return status
                if now != told:
                    click.echo(now, err=True)
                    told = now
                await asyncio.sleep(min(1.0, max(0.0, end - time.monotonic())))

    async def packed_report(self, name: str, slot: int | None) -> bytes:
        """Return the packed report. Ends the command where there is none."""
        from chronicle_chaos.cluster.packed_report import PACKED
        from chronicle_kube.kind import CONFIG_MAP

        async with self._connected() as (kube, namespace):
            status = (await _ledger(kube, namespace, name)).get("status") or {}
            report_name = f"{name}-report-{slot}" if slot is not None else (status.get("run") or {}).get("reportName")
            if not report_name:
                raise click.ClickException(f"no run on {name} yet; start one: kubectl chronicle run {name}")
            config_map = await _get(kube, CONFIG_MAP, namespace, report_name)
        packed = (config_map.get("binaryData") or {}).get(PACKED)
        if not packed:
            raise click.ClickException(f"ConfigMap {report_name} holds no report (yet): the run goes on, or it died")
        return base64.b64decode(packed)


async def _ledger(kube: Kube, namespace: str, name: str) -> Item:
    """Return a ledger. Raises NotFound."""
    from chronicle_operator.kube.kinds import LEDGER

    return await _get(kube, LEDGER, namespace, name)


async def _get(kube: Kube, kind: Kind, namespace: str, name: str) -> Item:
    """Return an object. Raises NotFound."""
    from chronicle_kube.errors import NotFound

    found = await kube.get(kind, namespace, name)
    if found is None:
        detail = f"there is no {kind.kind} {name} in namespace {namespace}"
        raise NotFound(f"get {kind.kind} {name}", detail, code=404)
    return found
