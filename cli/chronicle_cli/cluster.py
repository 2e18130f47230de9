"""`chronicle status`, `run` and `report` (also `kubectl chronicle …`): ledgers of a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from chronicle_cli import cluster_follow
from chronicle_cli.cluster_follow import Outcome

Item = dict[str, Any]
Result = TypeVar("Result")

USAGE, INCONCLUSIVE = 2, 3


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
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds to follow the run for.")
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
    found = _do(cluster.follow(name, chosen, timeout))
    if found.why_not:
        click.echo(f"no verdicts after {timeout:g} s: {found.why_not}", err=True)
        click.echo(f"see: kubectl chronicle status {name}", err=True)
        sys.exit(INCONCLUSIVE)
    if as_json:
        click.echo(json.dumps(found.scenarios, indent=2))
    else:
        view.verdicts(found.scenarios)
    click.echo(f"the report: kubectl chronicle report {name} -o DIR", err=True)
    sys.exit(exit_status(found.scenarios))


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
    from chronicle_chaos.packed_report import unpack
    from chronicle_chaos.report import write_report

    unpack(packed, output)
    try:
        write_report(output)  # the image of the run draws no pictures
    except (ImportError, ChaosError) as error:
        click.echo(f"page and picture could not be made here: {error}", err=True)
    for it in sorted(output.iterdir()):
        click.echo(str(it))


@click.command("run-in-cluster", hidden=True)
def run_in_cluster() -> None:
    """Do what CHRONICLE_RUN says; started by the operator, in a Job."""
    from chronicle_chaos import cluster_run

    try:
        order = cluster_run.order_from()
    except ValueError as error:
        click.echo(f"chronicle: {error}", err=True)
        sys.exit(USAGE)

    def say(scenario: str, phase: str, message: str) -> None:
        click.echo(f"{scenario}: {phase}: {message}", err=True)

    root = Path(tempfile.mkdtemp(prefix="chronicle-run-"))
    verdict = asyncio.run(cluster_run.run(order, root, say))
    click.echo(f"exit status of the verdicts: {verdict}", err=True)


def exit_status(scenarios: Sequence[Item]) -> int:
    """Return 0 when all passed (or do not apply), 1 when any failed, 3 otherwise."""
    found = {it.get("verdict") for it in scenarios}
    if "Failed" in found:
        return 1
    return 0 if found and found <= {"Passed", "NotApplicable"} else INCONCLUSIVE


def _do(work: Coroutine[Any, Any, Result]) -> Result:
    import httpx2
    from lightkube.core.exceptions import ApiError, ConfigError, LoadResourceError

    try:
        return asyncio.run(work)
    except ApiError as error:
        click.echo(f"chronicle: {error.status.message or error}", err=True)
    except (ConfigError, LoadResourceError) as error:
        click.echo(f"chronicle: no access to a cluster: {error}; is KUBECONFIG set?", err=True)
    except (httpx2.HTTPError, OSError) as error:
        click.echo(f"chronicle: the cluster does not answer: {type(error).__name__}: {error}", err=True)
    sys.exit(USAGE)


class _Cluster:
    """ChronicleLedgers through lightkube, in one namespace of one context."""

    def __init__(self, context: str | None, namespace: str | None) -> None:
        self._context = context
        self._namespace = namespace

    def _client(self) -> Any:
        from lightkube import AsyncClient, KubeConfig

        config = KubeConfig.from_env().get(self._context) if self._context else None
        return AsyncClient(config=config, namespace=self._namespace)

    @staticmethod
    def _ledger() -> Any:
        from chronicle_operator import kinds
        from chronicle_operator.kube import resource

        return resource(kinds.LEDGER)

    async def list(self, *, everywhere: bool) -> list[Item]:
        """Return the ledgers of the namespace, or of all."""
        client = self._client()
        namespace = "*" if everywhere else client.namespace
        return [dict(it) async for it in client.list(self._ledger(), namespace=namespace)]

    async def get(self, name: str) -> Item:
        """Return a ledger."""
        return dict(await self._client().get(self._ledger(), name))

    async def request_run(self, name: str, run_id: str) -> None:
        """Ask for a run. Ends the command where a run of that name is over: nothing would start."""
        from lightkube.types import PatchType

        if cluster_follow.finished_before(await self.get(name), run_id):
            raise click.UsageError(
                f"run {run_id} is over already: choose another --run-id, or see kubectl chronicle status {name}"
            )
        body = {"spec": {"resilience": {"runID": run_id}}}
        await self._client().patch(self._ledger(), name, body, patch_type=PatchType.MERGE)

    async def follow(self, name: str, run_id: str, seconds: float) -> Outcome:
        """See `cluster_follow.follow`; what goes on is told on stderr."""
        import httpx2
        from lightkube.core.exceptions import ApiError

        client = self._client()

        async def read() -> Item:
            try:
                return dict(await client.get(self._ledger(), name))
            except ApiError as error:
                if (error.status.code or 500) < 500 and error.status.code != 429:
                    raise
                raise cluster_follow.Unanswered(error.status.message or str(error)) from error
            except (httpx2.HTTPError, OSError, json.JSONDecodeError) as error:
                raise cluster_follow.Unanswered(f"{type(error).__name__}: {error}".rstrip(": ")) from error

        return await cluster_follow.follow(read, run_id, seconds, lambda now: click.echo(now, err=True))

    async def packed_report(self, name: str, slot: int | None) -> bytes:
        """Return the packed report. Ends the command where there is none."""
        from lightkube.resources.core_v1 import ConfigMap

        from chronicle_chaos.packed_report import PACKED

        client = self._client()
        status = (dict(await client.get(self._ledger(), name))).get("status") or {}
        found = f"{name}-report-{slot}" if slot is not None else (status.get("run") or {}).get("reportName")
        if not found:
            raise click.ClickException(f"no run on {name} yet; start one: kubectl chronicle run {name}")
        config_map = await client.get(ConfigMap, found)
        packed = (config_map.binaryData or {}).get(PACKED)
        if not packed:
            raise click.ClickException(f"ConfigMap {found} holds no report (yet): the run goes on, or it died")
        return base64.b64decode(packed)
