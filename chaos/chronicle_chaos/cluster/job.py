"""A run inside a Kubernetes cluster: what the operator's Job does.

The order comes as JSON (`CHRONICLE_RUN`); progress goes, phase by phase, into a ConfigMap that the operator made, and
so does the whole report, packed, at the end. SIGTERM (a drained node) heals what is broken, and reports what there is.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from chronicle_chaos.cluster import compact
from chronicle_chaos.cluster.packed_report import PACKED, pack
from chronicle_chaos.errors import ChaosError
from chronicle_chaos.injectors.kubernetes.client import MANAGER, KubeNamespace, Kubernetes, KubernetesError
from chronicle_chaos.injectors.kubernetes.injector import ChaosMeshInjector
from chronicle_chaos.record.journal import read_journal
from chronicle_chaos.run.engine import run_scenarios
from chronicle_chaos.run.options import Progress, RunOptions, Timing
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.target import Target
from chronicle_kube.client import connect

RECOVERY_SECONDS = 180.0
"""How long the way back may take where the order does not say. Longer than the scenarios' own deadlines, which are for
processes of one machine: here pods are scheduled, started and probed until they are ready."""

PROGRESS_SECONDS = 1.0


class Chosen(msgspec.Struct, frozen=True):
    """One scenario of the order; times in seconds. None for `duration`: as long as the scenario itself says."""

    name: str
    duration: float | None = None
    recovery: float | None = None

    @property
    def window(self) -> float:
        """How long the fault will last. Raises UnknownScenario."""
        return self.duration or find([self.name])[0].window


class Order(msgspec.Struct, frozen=True):
    """What to run and on what. `sides` is empty where no region is a minority; `nats` are host:port; `owner` is the
    reference to the ledger: experiments carry it, and pods its uid."""

    run: str
    ledger: str
    namespace: str
    report: str
    url: str
    regions: dict[str, list[str]]
    sides: dict[str, list[str]]
    nats: list[str]
    scenarios: list[Chosen]
    rate: float
    owner: dict[str, str]
    versions: dict[str, str] = {}
    key_file: str | None = None
    ca_file: str | None = None


def target_of(order: Order) -> Target:
    """Return where the ledger is. Raises OSError where the key cannot be read."""
    key = Path(order.key_file).read_text(encoding="utf-8").strip() if order.key_file else None
    details = {
        "namespace": order.namespace,
        "ledger": order.ledger,
        "sides": order.sides,
        "nats": order.nats,
        "owner": order.owner,
        "longest": max((it.window for it in order.scenarios), default=60.0),
    }
    regions = {name: tuple(urls) for name, urls in order.regions.items()}
    return Target("cluster", order.url, regions, "cockroachdb", key, order.ca_file, details)


async def run(order: Order, runs: Path, progress: Progress) -> int:
    """Run and report; return the exit status of the verdicts, 3 where the run was interrupted."""
    kube, _ = await connect(MANAGER)
    kubernetes = KubeNamespace(order.namespace, kube)
    run_dir = runs / order.run
    run_dir.mkdir(parents=True)
    options = RunOptions(
        seed=secrets.randbelow(2**32),
        rate=order.rate,
        timing=Timing(recovery=RECOVERY_SECONDS),
        scenario_timing={it.name: Timing(it.duration, it.recovery) for it in order.scenarios},
        versions=order.versions,
    )
    injector = ChaosMeshInjector(target_of(order), kubernetes, order.run)
    names = [it.name for it in order.scenarios]
    work = asyncio.create_task(run_scenarios(target_of(order), injector, names, options, run_dir, progress))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    telling = asyncio.create_task(_tell(order, run_dir, kubernetes))
    try:
        with suppress(asyncio.CancelledError):
            await work
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await _finish(order, run_dir, kubernetes)
        await kube.close()
    status = read_journal(run_dir).exit_status
    return 3 if status is None else status


async def _tell(order: Order, run_dir: Path, kubernetes: Kubernetes) -> None:
    """Write progress whenever it changed. What cannot be written now is written with the next change."""
    told = ""
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        with suppress(ChaosError, KubernetesError):
            now = progress_text(run_dir, finished=False)
            if now != told:
                await kubernetes.write_report(order.report, {"progress.json": now}, {})
                told = now


async def _finish(order: Order, run_dir: Path, kubernetes: Kubernetes) -> None:
    from chronicle_chaos.report import write_report

    with suppress(Exception):  # a page that cannot be drawn must not keep the verdicts from being told
        write_report(run_dir)
    files = {PACKED: base64.b64encode(pack(run_dir)).decode()}
    data = {"progress.json": progress_text(run_dir, finished=True)}
    for attempt in range(5):
        try:
            await kubernetes.write_report(order.report, data, files)
        except KubernetesError:
            await asyncio.sleep(2.0**attempt)
        else:
            return
    raise KubernetesError(f"the report could not be written to ConfigMap {order.report}")


def progress_text(run_dir: Path, *, finished: bool) -> str:
    """Return what the operator reads. Raises UnreadableRun before the first journal is there."""
    journal = read_journal(run_dir)
    content: dict[str, Any] = {"run": journal.run_id, "finished": finished, "scenarios": compact.entries(journal)}
    return msgspec.json.encode(content).decode()


def order_from(environment: Mapping[str, str] = os.environ) -> Order:
    """Read the order. Raises ValueError where there is none or it is not understood."""
    text = environment.get("CHRONICLE_RUN")
    if not text:
        raise ValueError("CHRONICLE_RUN is not set: this command is started by the operator, in a Job")
    return msgspec.json.decode(text.encode(), type=Order)
