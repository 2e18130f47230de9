"""Make what is there what is wanted: the writing half of a reconcile. What it decides on is in `apply` and `stages`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chronicle_contract.labels import MANAGER
from chronicle_kube.api import Kube, Manifest
from chronicle_kube.kind import Kind
from chronicle_operator.day2.operations import Agenda, hold
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.jobs import has_failed
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.ownership import is_own, taken
from chronicle_operator.reconcile import stages
from chronicle_operator.reconcile.apply import Key, Memory, in_order, key_of, superfluous
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.reconcile.handover import hand_over
from chronicle_operator.reconcile.workqueue import LedgerKey
from chronicle_operator.serve.metrics import Metrics

log = logging.getLogger(__name__)

CONTESTED_AFTER = 5
"""How often an object is applied, each time found changed, until the status says that somebody works against it."""


class Mender:
    """Applies and prunes. Remembers what was applied, by ledger and object; losing it costs one apply of everything."""

    def __init__(self, kube: Kube, metrics: Metrics) -> None:
        """Use the API server, and count what had to be mended."""
        self._kube = kube
        self._metrics = metrics
        self._memory: dict[LedgerKey, Memory] = {}

    def forget(self, key: LedgerKey) -> None:
        """Drop what is remembered of a ledger."""
        self._memory.pop(key, None)

    async def mend(
        self, key: LedgerKey, wanted: Desired, todo: Agenda, seen: Observation
    ) -> tuple[list[errors.KubeError], Observation]:
        """Create, apply and prune. Returns the failures, and the observation with the API server's answers in it.

        With them the status tells of what was asked for just now: a controller that has not seen it yet is not ready.
        One object that is refused does not keep the others from being applied; only where nobody answers it is no use
        to go on. Raises nothing.
        """
        memory = self._memory.setdefault(key, Memory())
        live = {key_of(item): item for item in seen.children}
        manifests = hand_over(hold(stages.due(wanted.manifests, seen), todo.replicas), live)
        failures = await self._create(wanted, live)
        if any(isinstance(it, errors.Unreachable) for it in failures):
            return failures, seen
        for kind, manifest in in_order(manifests):
            found = live.get(key_of(manifest))
            if memory.is_current(manifest, found) and not _gave_up(found):
                continue
            try:
                found = found or await self._look(kind, manifest, seen)
                answer = await self._one(kind, manifest, found)
            except errors.KubeError as error:
                failures.append(error)
                if isinstance(error, errors.Unreachable):
                    break
                continue
            if memory.remember(manifest, answer) >= CONTESTED_AFTER:
                failures.append(_contested(manifest, found or answer))
            live[key_of(manifest)] = answer
            self._metrics.applied.labels(kind.kind).inc()
            log.info("%s/%s: applied %s %s", *key, kind.kind, manifest["metadata"]["name"])
        if not failures:
            failures += await self._prune(key, wanted.all, seen)
        return failures, replace(seen, children=tuple(live.values()))

    async def _create(self, wanted: Desired, live: Mapping[Key, Manifest]) -> list[errors.KubeError]:
        """Create what must never be overwritten (an authority's key); one that somebody made in between wins."""
        failures: list[errors.KubeError] = []
        for manifest in wanted.create:
            if key_of(manifest) not in live:
                try:
                    await self._kube.create(kinds.of(manifest), manifest)
                except errors.KubeError as error:
                    failures.append(error)
        return failures

    async def _look(self, kind: Kind, manifest: Manifest, seen: Observation) -> Manifest | None:
        """Return what has the name of a wanted object that was not among the children, if that is the ledger's own.

        Raises NameTaken where it is somebody else's.
        """
        meta = manifest["metadata"]
        found = await self._kube.get(kind, meta["namespace"], meta["name"])
        if found is not None and not is_own(found, seen.ledger["metadata"]["name"], seen.uid):
            raise taken(found, seen.ledger["metadata"]["name"])
        return found

    async def _one(self, kind: Kind, manifest: Manifest, found: Manifest | None) -> Manifest:
        """Apply. A Job that gave up, or whose template would have to change, is deleted; the next run makes it anew."""
        uid = None if found is None else str(found["metadata"]["uid"])
        if kind is not kinds.JOB or found is None:
            return await self._kube.apply(kind, manifest, uid=uid)
        if not _gave_up(found):
            try:
                return await self._kube.apply(kind, manifest, uid=uid)
            except errors.Invalid as error:
                why = error.detail
        else:
            why = "it gave up after its last attempt"
        meta = found["metadata"]
        await self._kube.delete(kind, meta["namespace"], meta["name"], uid=meta["uid"])
        raise errors.Conflict(f"Job {meta['name']}", f"{why}; it is made anew")

    async def _prune(self, key: LedgerKey, manifests: Sequence[Manifest], seen: Observation) -> list[errors.KubeError]:
        failures: list[errors.KubeError] = []
        for item in superfluous(seen.children, manifests, seen.uid):
            meta = item["metadata"]
            try:
                await self._kube.delete(kinds.of(item), meta["namespace"], meta["name"], uid=meta["uid"])
            except errors.KubeError as error:
                failures.append(error)
                continue
            self._metrics.pruned.labels(item["kind"]).inc()
            log.info("%s/%s: pruned %s %s", *key, item["kind"], meta["name"])
        return failures


def _contested(manifest: Manifest, found: Manifest) -> errors.Contested:
    entries = found["metadata"].get("managedFields") or ()
    others = sorted({str(it.get("manager")) for it in entries} - {MANAGER})
    return errors.Contested(
        f"{manifest['kind']} {manifest['metadata']['name']}",
        f"applied {CONTESTED_AFTER} times in a row and changed back each time; its fields are set by"
        f" {', '.join(others) or 'a manager that leaves no record'}",
    )


def _gave_up(found: Manifest | None) -> bool:
    return found is not None and found["kind"] == kinds.JOB.kind and has_failed(found)
