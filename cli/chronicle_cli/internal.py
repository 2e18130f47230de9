"""Commands that chronicle itself starts: a process of a local cluster, a step of a script. No help shows them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click


@click.command("local-proxies", hidden=True)
@click.argument("socket", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("routes", nargs=-1, metavar="PORT:UPSTREAM...")
@click.option("--outlet", type=click.IntRange(1, 65_535), help="The port of a SOCKS server that leads to the proxies.")
def local_proxies(socket: Path, routes: tuple[str, ...], outlet: int | None) -> None:
    """Forward between loopback ports, as SOCKET says, until SIGTERM; started by `up`."""
    from chronicle_chaos.local.proxies import run

    pairs = (route.split(":") for route in routes)
    asyncio.run(run(socket, {int(port): int(upstream) for port, upstream in pairs}, outlet))


@click.command("local-balancer", hidden=True)
@click.argument("port", type=click.IntRange(1, 65_535))
@click.argument("urls", nargs=-1, required=True)
def local_balancer(port: int, urls: tuple[str, ...]) -> None:
    """Spread requests over API replicas until SIGTERM; started by `up`."""
    import uvloop

    from chronicle_chaos.local.load_balancer import run

    uvloop.run(run(port, urls))


@click.command("compose-target", hidden=True)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def compose_target(path: Path) -> None:
    """Wait until the compose stack is well, and write its target file; asked by `scripts/chaos-test.sh`."""
    from chronicle_chaos.injectors.compose.stack import write_target

    sys.exit(write_target(path))
