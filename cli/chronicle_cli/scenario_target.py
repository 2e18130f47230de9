"""From `--target` to a ledger under test and what can break it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import click

from chronicle_chaos.injection import Injector
from chronicle_chaos.options import Progress
from chronicle_chaos.target import Target


def read_target(where: str) -> Target | None:
    """The target of a file; None for `local`, which is started when it is needed. Raises click.UsageError."""
    if where == "local":
        return None
    try:
        return Target.read(Path(where))
    except OSError as error:
        raise click.UsageError(f"--target: {where} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.UsageError(f"--target: {where} is no target file ({error}); `chronicle up` writes one") from error


async def open_target(
    stack: AsyncExitStack, target: Target | None, database: str, sabotage: str | None, progress: Progress
) -> tuple[Target, Injector, dict[str, str]]:
    """The target, its injector and the versions under test. None starts a ledger that lives as long as `stack`."""
    from chronicle_chaos.injectors.local import LocalInjector
    from chronicle_chaos.local.cluster import LocalCluster, LocalSpec

    if target is None:
        cluster = LocalCluster(LocalSpec(database, sabotage=sabotage), lambda message: progress("", "start", message))
        await stack.enter_async_context(cluster)
        return cluster.target, LocalInjector(cluster.target), dict(cluster.versions)
    if target.kind == "compose":
        from chronicle_chaos.injectors.compose import ComposeInjector

        compose = ComposeInjector()
        return target, compose, await compose.versions()
    if target.kind != "local":
        raise click.UsageError(f"--target: runs on a {target.kind} target are started by their own command")
    return target, LocalInjector(target), {}
