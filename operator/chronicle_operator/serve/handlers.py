"""What Kopf hears becomes a wake-up, nothing else.

Only `on.event` handlers: they see every change, need no finalizer (so that nothing blocks a deletion while the operator
is down) and keep nothing in annotations. What to do is decided by `reconcile`, from what is there; a wake-up that got
lost is made good by the resync.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kopf

from chronicle_contract.labels import INSTANCE, MANAGED_BY, MANAGER
from chronicle_kube import access
from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue
from chronicle_operator.serve.settings import Settings

Sight = tuple[Any, Any, str]


class Watch:
    """Turns events of ledgers and of their children into wake-ups of a queue."""

    def __init__(self, queue: WorkQueue, gone: Callable[[LedgerKey], None]) -> None:
        """`gone` is told of ledgers that were deleted."""
        self._queue = queue
        self._gone = gone
        self._seen: dict[LedgerKey, Sight] = {}

    def ledger(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """Take note of an event of a ledger; a mere change of its status (our own, mostly) wakes nobody."""
        meta = body["metadata"]
        key = LedgerKey(str(meta["namespace"]), str(meta["name"]))
        if event_type == "DELETED":
            self._seen.pop(key, None)
            self._queue.forget(key)
            self._gone(key)
            return
        sight: Sight = (
            meta.get("generation"),
            meta.get("deletionTimestamp"),
            repr(sorted((meta.get("annotations") or {}).items())),
        )
        if self._seen.get(key) != sight:
            self._seen[key] = sight
            self._queue.wake(key)

    def backup(self, body: Mapping[str, Any]) -> None:
        """Take note of an event of a backup: the ledger that it is of is woken."""
        ledger = (body.get("spec") or {}).get("ledgerName")
        if ledger:
            self._queue.wake(LedgerKey(str(body["metadata"]["namespace"]), str(ledger)))

    def child(self, body: Mapping[str, Any]) -> None:
        """Take note of an event of a child: the ledger it belongs to is woken.

        It is found by the label rather than the owner reference, which a hand may have taken away.
        """
        meta = body["metadata"]
        ledger = (meta.get("labels") or {}).get(INSTANCE)
        if ledger:
            self._queue.wake(LedgerKey(str(meta["namespace"]), str(ledger)))


class Patience:
    """Pauses between attempts of a watch, without an end.

    A namespace that was deleted answers 403. Were Kopf to give up on it, it would give up every other watch too.
    """

    FIRST = (1, 1, 2, 3, 5, 8, 13, 21)
    LONGEST = 30.0

    def __iter__(self) -> Iterator[float]:
        """Begin again: each request counts for itself."""
        return itertools.chain(map(float, self.FIRST), itertools.repeat(self.LONGEST))


def watches() -> int:
    """Return how many watches Kopf keeps in the running event loop: it names their tasks so."""
    return sum(1 for it in asyncio.all_tasks() if it.get_name().startswith("watcher for ") and not it.done())


def watched(settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of children to watch. What other tenants keep in Secrets and ConfigMaps is none of our business:
    with every namespace served they are not watched."""
    return tuple(it for it in kinds.CHILDREN if settings.namespaces or it not in kinds.CONFIDENTIAL)


async def login() -> kopf.ConnectionInfo:
    """Return the cluster and the account that the operator's own requests use. Raises AccessError."""
    configuration = (await access.load()).configuration
    scheme, _, token = str(configuration.api_key.get("BearerToken", "")).partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


def register(registry: kopf.OperatorRegistry, watch: Watch, children: tuple[Kind, ...]) -> None:
    """Have Kopf watch ledgers, backups and children."""

    @kopf.on.event(kinds.GROUP, kinds.VERSION, kinds.LEDGER.plural, registry=registry, id="ledger")
    async def on_ledger(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - Kopf's name
        watch.ledger(type, body)

    @kopf.on.event(kinds.GROUP, kinds.VERSION, kinds.BACKUP.plural, registry=registry, id="backup")
    async def on_backup(body: kopf.Body, **_: Any) -> None:
        watch.backup(body)

    @kopf.on.login(registry=registry, id="login")
    async def on_login(**_: Any) -> kopf.ConnectionInfo:
        # Asked again whenever the API server says 401: the kubelet renews the token in its file about every hour.
        return await login()

    async def on_child(body: kopf.Body, **_: Any) -> None:
        watch.child(body)

    for kind in children:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"child-{kind.plural}")(on_child)


def kopf_settings(settings: Settings, children: tuple[Kind, ...]) -> kopf.OperatorSettings:
    """Return Kopf's settings for an operator that has no peer and keeps its state in the cluster's own objects."""
    chosen = kopf.OperatorSettings()
    # A watch that died silently is noticed by its time-outs, not by its silence.
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 30
    chosen.networking.error_backoffs = Patience()
    for kind in children:
        selector = f"{MANAGED_BY}={MANAGER}"
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
    # The CRD is installed before the operator, namespaces are named: no rights on CRDs and Namespaces are needed.
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.process.ultimate_exiting_timeout = 20
    # No handler of ours makes Kopf write anything; should one ever do, let it be under our own name.
    chosen.persistence.finalizer = f"{kinds.GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{kinds.GROUP}")
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{kinds.GROUP}")
    del settings
    return chosen
