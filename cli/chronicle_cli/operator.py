"""`chronicle operator`: run the Kubernetes operator."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import Literal

import click

from chronicle_cli.types import Finite


@click.group()
def operator() -> None:
    """Run the Kubernetes operator."""


@operator.command()
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    envvar="CHRONICLE_OPERATOR_NAMESPACES",
    help="Serve this namespace (repeat for more; in the environment separated by blanks).",
)
@click.option("-A", "--all-namespaces", is_flag=True, envvar="CHRONICLE_OPERATOR_ALL_NAMESPACES", help="Serve all.")
@click.option("--host", default="::", show_default=True, help="Address of /livez, /readyz and /metrics.")
@click.option("--port", default=8080, show_default=True, envvar="CHRONICLE_OPERATOR_PORT", help="Port of the same.")
@click.option(
    "--resync",
    default=60.0,
    show_default=True,
    type=Finite(min=5, max=86_400),
    envvar="CHRONICLE_OPERATOR_RESYNC",
    help="Seconds between two looks at every ledger.",
)
@click.option("--log-level", default="info", show_default=True, envvar="CHRONICLE_LOG_LEVEL")
@click.option(
    "--log-format",
    type=click.Choice(["json", "console"]),
    default="json",
    show_default=True,
    envvar="CHRONICLE_LOG_FORMAT",
)
def run(
    *,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    host: str,
    port: int,
    resync: float,
    log_level: str,
    log_format: Literal["json", "console"],
) -> None:
    """Reconcile ChronicleLedgers until SIGTERM.

    Credentials come from the pod's ServiceAccount, or from KUBECONFIG outside of a cluster.
    """
    if bool(namespaces) == all_namespaces:
        raise click.UsageError("say which namespaces to serve: --namespace NAME (repeatable) or --all-namespaces")
    from chronicle_operator.serve.main import run as run_operator
    from chronicle_operator.serve.settings import Settings

    _log_to_stderr(log_level, log_format)
    settings = Settings(
        namespaces=tuple(sorted(set(namespaces))),
        host=host,
        port=port,
        resync=resync,
        instance=os.environ.get("HOSTNAME") or socket.gethostname(),
    )
    asyncio.run(run_operator(settings))


def _log_to_stderr(level: str, form: Literal["json", "console"]) -> None:
    import structlog

    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Each event that Kopf hears of at level info would be the whole log.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
