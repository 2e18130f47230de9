"""Look at every ledger from time to time, whatever was or was not heard of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chronicle_kube.api import Kube
from chronicle_operator.kube import errors, kinds
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue
from chronicle_operator.serve.liveness import Heartbeat
from chronicle_operator.serve.settings import Settings

log = logging.getLogger(__name__)

EVERY = ""
"""How the listing of all namespaces at once is called among `Listing.failed`."""


@dataclass(frozen=True)
class Listing:
    """The ledgers of the served namespaces, and what came in the way where they could not be listed."""

    ledgers: set[LedgerKey] = field(default_factory=set)
    failed: Mapping[str, errors.KubeError] = field(default_factory=dict)

    def gone(self, known: set[LedgerKey]) -> set[LedgerKey]:
        """Return the known ledgers that are no more. Those of a namespace that could not be listed are not counted."""
        return {it for it in known - self.ledgers if it.namespace not in self.failed and EVERY not in self.failed}


async def listed(kube: Kube, namespaces: tuple[str, ...]) -> Listing:
    """Return every ledger of the served namespaces. One that cannot be listed keeps no other from it."""
    found: set[LedgerKey] = set()
    failed: dict[str, errors.KubeError] = {}
    for namespace in namespaces or (EVERY,):
        try:
            ledgers = await kube.list(kinds.LEDGER, namespace or None)
        except errors.KubeError as error:
            failed[namespace] = error
            continue
        found |= {LedgerKey(it["metadata"]["namespace"], it["metadata"]["name"]) for it in ledgers}
    return Listing(found, failed)


async def resync(
    kube: Kube,
    queue: WorkQueue,
    heartbeat: Heartbeat,
    settings: Settings,
    report: Callable[[str, bool], None] = lambda namespace, served: None,  # noqa: ARG005
) -> None:
    """Wake every ledger now and after each pause, forget those that are gone; never returns.

    An API server that does not answer is no stall of the operator: the heartbeat goes on, since a restart would not
    help. Only a resync that hangs or dies lets it stop. `report` is told of each namespace whether it can be listed.
    """
    before: set[str] = set()
    while True:
        found = await listed(kube, settings.namespaces)
        for namespace in settings.namespaces or (EVERY,):
            report(namespace, namespace not in found.failed)
        _log(found, before)
        before = set(found.failed)
        for key in found.ledgers:
            queue.wake(key)
        for key in found.gone(set(queue.keys())):
            queue.forget(key)
        heartbeat.beat()
        pauses = [it.retry_seconds for it in found.failed.values()]
        await asyncio.sleep(min([settings.resync, *pauses]))


def _log(found: Listing, before: set[str]) -> None:
    """Say once what became of a namespace, not at each look."""
    for namespace, error in found.failed.items():
        if namespace in before:
            continue
        where = f"namespace {namespace}" if namespace else "any namespace"
        why = "It was deleted, or the operator's RoleBinding in it. " if isinstance(error, errors.Forbidden) else ""
        log.warning("cannot list the ledgers of %s: %s. %sThe others are served on.", where, error, why)
    for namespace in before - set(found.failed):
        log.info("namespace %s can be listed again", namespace or "(all)")
