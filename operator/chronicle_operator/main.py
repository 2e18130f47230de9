"""Put the operator together and run it: the only module that knows all the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime

import aiohttp
import kopf
from kopf._core.engines.peering import Identity

from chronicle_operator import handlers, kube, web
from chronicle_operator.health import HealthClient
from chronicle_operator.liveness import Heartbeat, Liveness
from chronicle_operator.metrics import Metrics
from chronicle_operator.reconcile import Reconciler
from chronicle_operator.resync import resync
from chronicle_operator.scenarios.runs import Scenarios
from chronicle_operator.settings import Settings
from chronicle_operator.workqueue import LedgerKey, WorkQueue

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run until SIGTERM. Raises when the API server's address or credentials cannot be found."""
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        client = kube.connect(metrics.count_request)
        stack.push_async_callback(client.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        reconciler = Reconciler(
            client,
            HealthClient(session),
            metrics,
            clock=lambda: datetime.now(UTC),
            instance=settings.instance,
            extension=Scenarios(client, lambda: datetime.now(UTC)),
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
        liveness = Liveness(heartbeat, queue.longest_run, settings.run_limit + 30)

        def refresh() -> None:
            metrics.waiting.set(queue.waiting())
            metrics.longest.set(queue.longest_run())

        app = web.application(liveness, lambda: heartbeat.last is not None, metrics.registry, refresh)
        runner = await web.serve(app, settings.host, settings.port)
        stack.push_async_callback(runner.cleanup)

        registry = kopf.OperatorRegistry()
        children = handlers.watched(settings)
        handlers.register(registry, handlers.Watch(queue, reconciler.forget), children)
        loop = asyncio.create_task(resync(client, queue, heartbeat, settings), name="resync")
        stack.push_async_callback(_cancel, loop)
        served = ", ".join(settings.namespaces) or "every namespace"
        log.info("serving ChronicleLedgers in %s", served)
        await kopf.operator(
            registry=registry,
            settings=handlers.kopf_settings(settings, children),
            standalone=True,
            # Kopf would ask for the name of the user, which a container's user number has not got.
            identity=Identity(settings.instance),
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
        )


def _log_failure(key: LedgerKey, error: Exception) -> None:
    if isinstance(error, TimeoutError):
        log.error("%s/%s: the reconcile took too long and was cut off", key.namespace, key.name)
    elif type(error).__module__ == "chronicle_operator.errors":
        log.warning("%s/%s: %s", key.namespace, key.name, error)
    else:
        log.error("%s/%s: the reconcile failed", key.namespace, key.name, exc_info=error)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
