"""From `--target` to a ledger under test and what can break it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.injection import Injector
from chronicle_chaos.local.patroni.configuration import UNREPLICATED
from chronicle_chaos.run.options import Progress
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.target import Database, Target
from chronicle_ledger.sabotage import Sabotage


@dataclass(frozen=True, slots=True)
class Local:
    """What may be chosen of a ledger on this machine: its database, and what its links do in a partition."""

    database: str = "auto"
    partition_mode: str = "blackhole"


def read_target(where: str) -> Target | None:
    """The target of a file; None for `local`, which is started when it is needed. Raises click.UsageError."""
    if where == "local":
        return None
    try:
        target = Target.read(Path(where))
    except OSError as error:
        raise click.UsageError(f"--target: {where} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.UsageError(f"--target: {where} is no target file ({error}); `chronicle up` writes one") from error
    if target.kind not in {"local", "compose"}:
        raise click.UsageError(f"--target: runs on a {target.kind} target are started by their own command")
    return target


def database_of(target: Target | None, database: str) -> Database:
    """Which database the ledger under test has, or will have. Raises BinaryMissing."""
    from chronicle_chaos.local.cluster import CHOICES, Choice

    if target is not None:
        return target.database
    return CHOICES.get(database) or Choice.of(database, Path(tempfile.gettempdir())).database


def must_suit(names: Sequence[str], database: Database, duration: float | None, sabotage: str | None) -> None:
    """Refuse what could tell nothing: a window in which the checks see too little, a guarantee that no scenario will
    test. Scenarios that will not apply are not asked. Raises click.UsageError, UnknownScenario."""
    quorum = database != "postgresql"
    applying = [s for s in find(names, database) if quorum or not s.fault.needs_quorum]
    if duration is not None:
        for it in applying:
            if duration < it.least_window_seconds:
                raise click.UsageError(
                    f"--duration {duration:g} is too short for {it.name}, which needs {it.least_window_seconds:g} s:"
                    f" {it.least_window_reason}; leave --duration out, or name the scenarios that it suits"
                )
    if sabotage == Sabotage.MINORITY_REJECTION and not any(isinstance(it.fault, Partition) for it in applying):
        raise click.UsageError(
            f"--sabotage {sabotage} shows in network-partition alone, which is not run, or needs a database of three"
            " nodes; name it, and leave --database out"
        )
    if sabotage == UNREPLICATED and database != "patroni":
        raise click.UsageError(f"--sabotage {sabotage} is for --database patroni")


async def open_target(
    stack: AsyncExitStack, target: Target | None, local: Local, sabotage: str | None, progress: Progress
) -> tuple[Target, Injector, dict[str, str]]:
    """The target, its injector and the versions under test. None starts a ledger that lives as long as `stack`."""
    from chronicle_chaos.injectors.local.injector import LocalInjector
    from chronicle_chaos.local.cluster import LocalCluster, LocalSpec
    from chronicle_chaos.local.tcp_proxy import Mode

    if target is not None and target.kind == "compose":
        from chronicle_chaos.injectors.compose.docker import PROJECT, Docker
        from chronicle_chaos.injectors.compose.injector import ComposeInjector

        compose = ComposeInjector(Docker(project=str(target.details.get("project", PROJECT))))
        return target, compose, await compose.versions()
    if target is None:
        spec = LocalSpec(local.database, sabotage=sabotage)
        cluster = await stack.enter_async_context(LocalCluster(spec, lambda message: progress("", "start", message)))
        target = cluster.target
    injector = LocalInjector(target, cut=Mode(local.partition_mode))
    return target, injector, dict(target.details.get("versions", {}))
