"""Put the operator together and run it: the only module that knows all the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import kopf

from chronicle_contract.labels import MANAGER
from chronicle_kube.client import connect
from chronicle_operator.backups.making import Backups
from chronicle_operator.backups.restoring import Restores
from chronicle_operator.kube import errors
from chronicle_operator.observe.health import HealthClient
from chronicle_operator.reconcile.extension import together
from chronicle_operator.reconcile.reconcile import Reconciler
from chronicle_operator.reconcile.resync import resync
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue
from chronicle_operator.scenarios.runs import Scenarios
from chronicle_operator.seals.sealing import Seals
from chronicle_operator.serve import handlers, web
from chronicle_operator.serve.liveness import Heartbeat, Liveness, Watching
from chronicle_operator.serve.metrics import Metrics
from chronicle_operator.serve.settings import Settings

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run until SIGTERM. Raises when the API server's address or credentials cannot be found."""
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        client, _ = await connect(MANAGER, metrics.count_request)
        stack.push_async_callback(client.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        reconciler = Reconciler(
            client,
            HealthClient(session),
            metrics,
            clock=_now,
            instance=settings.instance,
            extension=together(
                Scenarios(client, _now),
                Seals(client, _now),
                Restores(client, _now),
                Backups(client, _now, settings.instance),
            ),
            limit_seconds=settings.run_limit,
        )
        queue = WorkQueue(
            reconciler.reconcile,
            clock=time.monotonic,
            # Somewhat later than the reconcile stops itself, so that it can still say why.
            run_limit_seconds=settings.run_limit + 20,
            on_failure=_log_failure,
        )
        stack.push_async_callback(queue.close)
        heartbeat = Heartbeat(time.monotonic, settings.heartbeat_limit)
        watching = Watching(time.monotonic, handlers.watches)
        liveness = Liveness(heartbeat, queue.longest_run, settings.run_limit + 30, watching)

        def refresh() -> None:
            metrics.waiting.set(queue.waiting())
            metrics.longest.set(queue.longest_run())
            metrics.watches.set(handlers.watches())

        app = web.application(liveness, lambda: heartbeat.last is not None, metrics.registry, refresh)
        runner = await web.serve(app, settings.host, settings.port)
        stack.push_async_callback(runner.cleanup)

        registry = kopf.OperatorRegistry()
        children = handlers.watched(settings)
        handlers.register(registry, handlers.Watch(queue, reconciler.forget), children)
        loop = asyncio.create_task(resync(client, queue, heartbeat, settings, metrics.report_namespace), name="resync")
        stack.push_async_callback(_cancel, loop)
        served = ", ".join(settings.namespaces) or "every namespace"
        log.info("serving ChronicleLedgers in %s", served)
        identity: Any = settings.instance  # Kopf's type of it is a str by another name, and is not exported
        await kopf.operator(
            registry=registry,
            settings=handlers.kopf_settings(settings, children),
            standalone=True,
            # Kopf would ask for the name of the user, which a container's user number has not got.
            identity=identity,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _log_failure(key: LedgerKey, error: Exception) -> None:
    if isinstance(error, TimeoutError):
        log.error("%s/%s: the reconcile took too long and was cut off", key.namespace, key.name)
    elif isinstance(error, errors.KubeError):
        log.warning("%s/%s: %s", key.namespace, key.name, error)
    else:
        log.error("%s/%s: the reconcile failed", key.namespace, key.name, exc_info=error)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
