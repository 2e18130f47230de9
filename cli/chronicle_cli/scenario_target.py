"""From `--target` to a ledger under test and what can break it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from chronicle_chaos.faults import Partition, needs_quorum
from chronicle_chaos.injection import Injector
from chronicle_chaos.options import Progress
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.target import Target
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


def has_quorum(target: Target | None, database: str) -> bool:
    """Whether the ledger under test has, or will have, a database of several nodes. Raises BinaryMissing."""
    from chronicle_chaos.local.binaries import find_cockroach

    if target is not None:
        return target.database == "cockroachdb"
    return database == "cockroach" or (database == "auto" and find_cockroach() is not None)


def must_suit(names: Sequence[str], quorum: bool, duration: float | None, sabotage: str | None) -> None:
    """Refuse what could tell nothing: a window in which the checks see too little, a guarantee that no scenario will
    test. Scenarios that will not apply are not asked. Raises click.UsageError, UnknownScenario."""
    applying = [s for s in find(names) if quorum or not needs_quorum(s.fault)]
    if duration is not None:
        for it in applying:
            if duration < it.least_window_seconds:
                raise click.UsageError(
                    f"--duration {duration:g} is too short for {it.name}, which needs {it.least_window_seconds:g} s:"
                    f" {it.least_window_reason}; leave --duration out, or name the scenarios that it suits"
                )
    if sabotage == Sabotage.MINORITY_REJECTION and not any(isinstance(it.fault, Partition) for it in applying):
        raise click.UsageError(
            f"--sabotage {sabotage} shows in network-partition alone, which is not run, or needs three CockroachDB"
            " nodes; name it, and install CockroachDB or run: chronicle fetch cockroach"
        )


async def open_target(
    stack: AsyncExitStack, target: Target | None, local: Local, sabotage: str | None, progress: Progress
) -> tuple[Target, Injector, dict[str, str]]:
    """The target, its injector and the versions under test. None starts a ledger that lives as long as `stack`."""
    from chronicle_chaos.injectors.local import LocalInjector
    from chronicle_chaos.local.cluster import LocalCluster, LocalSpec
    from chronicle_chaos.local.tcp_proxy import Mode

    if target is not None and target.kind == "compose":
        from chronicle_chaos.injectors.compose import ComposeInjector

        compose = ComposeInjector()
        return target, compose, await compose.versions()
    if target is None:
        spec = LocalSpec(local.database, sabotage=sabotage)
        cluster = await stack.enter_async_context(LocalCluster(spec, lambda message: progress("", "start", message)))
        target = cluster.target
    injector = LocalInjector(target, cut=Mode(local.partition_mode))
    return target, injector, dict(target.details.get("versions", {}))
