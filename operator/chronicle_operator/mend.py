"""Make what is there what is wanted: the writing half of a reconcile. What it decides on is in `apply` and `stages`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chronicle_operator import errors, kinds, stages
from chronicle_operator.apply import Key, Manifest, Memory, in_order, key_of, superfluous
from chronicle_operator.day2.operations import Agenda, hold
from chronicle_operator.desired import Desired
from chronicle_operator.handover import hand_over
from chronicle_operator.kinds import Kind
from chronicle_operator.kube import Kube
from chronicle_operator.metrics import Metrics
from chronicle_operator.observe import Observation
from chronicle_operator.workqueue import LedgerKey

log = logging.getLogger(__name__)


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
                answer = await self._one(kind, manifest, found)
            except errors.KubeError as error:
                failures.append(error)
                if isinstance(error, errors.Unreachable):
                    break
                continue
            memory.remember(manifest, answer)
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

    async def _one(self, kind: Kind, manifest: Manifest, found: Manifest | None) -> Manifest:
        """Apply. A Job that gave up, or whose template would have to change, is deleted; the next run makes it anew."""
        if kind is not kinds.JOB or found is None:
            return await self._kube.apply(kind, manifest)
        if not _gave_up(found):
            try:
                return await self._kube.apply(kind, manifest)
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


def _gave_up(found: Manifest | None) -> bool:
    return found is not None and found["kind"] == kinds.JOB.kind and stages.has_failed(found)
