"""One ledger, once: observe, decide, apply, report. Called again whenever anything changed, and from time to time.

The order matters only for what is seen half-way: children are applied before operations act, the status is written
last. The operator may die between any two lines; the next run starts from what is in the cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from chronicle_kube.api import Kube, Manifest
from chronicle_operator.day2 import draining
from chronicle_operator.day2.execute import Executor
from chronicle_operator.day2.operations import DATABASE, Agenda, agenda, with_drains
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.health import Health, HealthClient
from chronicle_operator.observe.licence import find_licence
from chronicle_operator.observe.nodes import Nodes
from chronicle_operator.observe.observe import Observation, find_secrets, observe
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile.desired import Desired, InvalidSpec, desired
from chronicle_operator.reconcile.extension import Addition, Extension, nothing
from chronicle_operator.reconcile.mend import Mender
from chronicle_operator.reconcile.workqueue import LedgerKey
from chronicle_operator.resources import names
from chronicle_operator.serve.metrics import Metrics
from chronicle_operator.status import announce, report
from chronicle_operator.status.conditions import transitions

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
MOVING_SECONDS = 5.0
"""How soon to look again while something is on its way that sends no event (replication, volumes, health)."""


@dataclass(frozen=True)
class _Outcome:
    """What one look came to: what to report, what to raise afterwards, and when to look again."""

    report: report.Report
    failure: Exception | None = None
    pause: float | None = None


class Reconciler:
    """Reconciles ledgers. Holds nothing that cannot be lost."""

    def __init__(
        self,
        kube: Kube,
        health: HealthClient,
        metrics: Metrics,
        *,
        clock: Clock,
        instance: str,
        extension: Extension = nothing,
        limit_seconds: float = 120.0,
    ) -> None:
        """`instance` is this process's name in Events; `limit_seconds` bounds one reconcile, its report excepted."""
        self._kube = kube
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._instance = instance
        self._mender = Mender(kube, metrics)
        self._drains: dict[LedgerKey, draining.Drains] = {}
        self._executor = Executor(kube)
        self._extension = extension
        self._limit = limit_seconds

    def forget(self, key: LedgerKey) -> None:
        """Drop what is remembered of a ledger that is gone. Its children go by their owner references."""
        self._mender.forget(key)
        self._drains.pop(key, None)
        self._metrics.ledgers.forget(key.namespace, key.name)

    async def reconcile(self, key: LedgerKey) -> float | None:
        """Reconcile once. Returns the seconds after which to look again even if nothing is heard, None for no need.

        Raises `errors.KubeError` when something could not be done, TimeoutError past the limit, and whatever else went
        wrong; the status says so already if it could be written.
        """
        with self._metrics.seconds.time():
            try:
                pause = await self._reconcile(key)
            except errors.KubeError as error:
                self._metrics.reconciles.labels(error.reason).inc()
                raise
            except TimeoutError:
                self._metrics.reconciles.labels("TimedOut").inc()
                raise
            except Exception:
                self._metrics.reconciles.labels("Bug").inc()
                raise
        self._metrics.reconciles.labels("ok").inc()
        return pause

    async def _reconcile(self, key: LedgerKey) -> float | None:
        ledger = await self._kube.get(kinds.LEDGER, key.namespace, key.name)
        if ledger is None or ledger["metadata"].get("deletionTimestamp"):
            return None
        found = await self._outcome(key, ledger)
        try:
            await self._report(ledger, found.report)
        except errors.KubeError:
            if found.failure is None:
                raise
        if found.failure is not None:
            raise found.failure
        return found.pause

    async def _outcome(self, key: LedgerKey, ledger: Manifest) -> _Outcome:
        """Do the work; whatever comes of it can be told in the status."""
        try:
            async with asyncio.timeout(self._limit):
                return await self._work(key, ledger)
        except errors.KubeError as error:
            return _Outcome(report.blind(error), error)
        except TimeoutError as error:
            return _Outcome(report.timed_out(self._limit), error)
        except Exception as bug:  # noqa: BLE001 - raised again once the status says so
            return _Outcome(report.broken(bug), bug)

    async def _work(self, key: LedgerKey, ledger: Manifest) -> _Outcome:
        if ledger["spec"].get("reconciliation") == "Paused":
            return await self._while_paused(ledger)
        seen = await observe(self._kube, ledger)
        try:
            wanted = desired(seen, self._clock())
            seen, taken = await find_secrets(self._kube, seen, wanted.missing_secrets)
            reference = wanted.spec.cockroachdb.license_secret_ref
            licence, refused = await find_licence(self._kube, seen.namespace, reference)
            if wanted.missing_secrets or licence:
                wanted = desired(seen, self._clock(), taken, licence)
        except InvalidSpec as invalid:
            return _Outcome(report.invalid(str(invalid)))
        health, nodes = await asyncio.gather(self._ask(wanted, seen), self._ask_nodes(wanted, seen))
        seen = replace(seen, health=health, nodes=nodes)
        now = self._clock()
        self._drains[key] = draining.look(seen.pods_of(DATABASE), seen.nodes, self._drains.get(key, {}), now)
        todo = agenda(wanted.manifests, seen, now, hibernated=wanted.hibernated)
        todo = with_drains(todo, seen, self._drains[key], now)
        failures = taken
        if not failures:  # without its Secrets a ledger would be made of others, which nothing could take back
            failures, seen = await self._mender.mend(key, wanted, todo, seen)
        if not failures:
            failures = await self._act(todo, wanted, seen)
        failures = [*failures, *refused]
        status = report.status(seen, wanted, todo, failures, self._clock())
        added = Addition()
        try:
            added = await self._extension(seen, wanted, ready=status.is_ready and status.settled)
        except errors.KubeError as error:
            added = Addition(failures=[error])
        if added.failures:
            failures = [*failures, *added.failures]
            status = status.with_failures(failures)
        status = status.with_addition(added)
        if failures:
            return _Outcome(status, errors.worst_first(failures)[0])
        pauses = [it for it in (added.pause, None if status.settled else MOVING_SECONDS) if it is not None]
        return _Outcome(status, pause=min(pauses, default=None))

    async def _while_paused(self, ledger: Manifest) -> _Outcome:
        """Leave the ledger alone. A run that is going on it is followed to its end all the same, or nobody would mend
        what it broke; one that is asked for is said to wait."""
        said = report.paused()
        try:
            seen = await observe(self._kube, ledger)
            added = await self._extension(seen, desired(seen, self._clock()), ready=False)
        except InvalidSpec:
            return _Outcome(said)
        except errors.KubeError as error:
            return _Outcome(said, error)
        return _Outcome(said.with_addition(added), next(iter(added.failures), None), added.pause)

    async def _ask(self, wanted: Desired, seen: Observation) -> Health | None:
        ready = sum(int((it.get("status") or {}).get("readyReplicas") or 0) for it in seen.of("Deployment", "api"))
        # Without a ready replica the Service has nobody to answer: the connection would only time out.
        return await self._health.ask(wanted.health_url, wanted.authority) if ready else None

    async def _ask_nodes(self, wanted: Desired, seen: Observation) -> Nodes | None:
        pods = [name(it) for it in seen.pods_of(DATABASE) if (it.get("status") or {}).get("podIP")]
        if not pods:
            return None
        service = names.cockroach(name(seen.ledger))
        scheme = "https" if wanted.authority else "http"
        hosts = {pod: names.pod_address(pod, service, seen.namespace) for pod in pods}
        urls = {pod: f"{scheme}://{host}:{names.HTTP_PORT}/_status/vars" for pod, host in hosts.items()}
        return await self._health.nodes(urls, wanted.authority)

    async def _act(self, todo: Agenda, wanted: Desired, seen: Observation) -> list[errors.KubeError]:
        try:
            for action in todo.actions:
                await self._executor.execute(action, wanted, seen)
        except errors.KubeError as error:
            return [error]
        return []

    async def _report(self, ledger: Manifest, said: report.Report) -> None:
        """Write the status if it differs from what is stored, and an Event for each condition that changed."""
        now = self._clock()
        old = ledger.get("status") or {}
        new = said.merged(old, int(ledger["metadata"]["generation"]), now)
        meta = ledger["metadata"]
        # From what is stored: a report that says nothing of `Ready` (a pause) leaves it as it was.
        self._metrics.ledgers.set(meta["namespace"], meta["name"], new)
        if new == old:
            return
        await self._kube.patch_status(kinds.LEDGER, meta["namespace"], meta["name"], new, meta["resourceVersion"])
        for change in transitions(old.get("conditions") or (), new["conditions"]):
            await announce.announce(self._kube, announce.of_transition(ledger, change, now, self._instance))
