"""Look at every ledger from time to time, whatever was or was not heard of it."""

from __future__ import annotations

import asyncio
import logging

from chronicle_operator import errors, kinds
from chronicle_operator.kube import Kube
from chronicle_operator.liveness import Heartbeat
from chronicle_operator.settings import Settings
from chronicle_operator.workqueue import LedgerKey, WorkQueue

log = logging.getLogger(__name__)


async def listed(kube: Kube, namespaces: tuple[str, ...]) -> set[LedgerKey]:
    """Return every ledger of the served namespaces. Raises `errors.KubeError`."""
    found: set[LedgerKey] = set()
    for namespace in namespaces or (None,):
        for ledger in await kube.list(kinds.LEDGER, namespace):
            found.add(LedgerKey(ledger["metadata"]["namespace"], ledger["metadata"]["name"]))
    return found


async def resync(kube: Kube, queue: WorkQueue, heartbeat: Heartbeat, settings: Settings) -> None:
    """Wake every ledger now and after each pause, forget those that are gone; never returns.

    An API server that does not answer is no stall of the operator: the heartbeat goes on, since a restart would not
    help. Only a resync that hangs or dies lets it stop.
    """
    while True:
        try:
            present = await listed(kube, settings.namespaces)
        except errors.KubeError as error:
            log.warning("cannot list ledgers: %s. %s", error, errors.advice(error))
            heartbeat.beat()
            await asyncio.sleep(min(settings.resync, error.retry_seconds))
            continue
        for key in present:
            queue.wake(key)
        for key in set(queue.keys()) - present:
            queue.forget(key)
        heartbeat.beat()
        await asyncio.sleep(settings.resync)
