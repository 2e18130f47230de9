"""Do what an agenda says: the only place where pods, volume claims and operations' Jobs are touched."""

from __future__ import annotations

import logging

from chronicle_kube.api import Kube
from chronicle_operator.day2 import decommission, rollout
from chronicle_operator.day2.decommission_job import decommission_job
from chronicle_operator.day2.operations import Action
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import Observation
from chronicle_operator.observe.pods import name
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.resources import LedgerContext

log = logging.getLogger(__name__)


class Executor:
    """Carries out one action at a time. Each may be repeated: what is done already is no error."""

    def __init__(self, kube: Kube) -> None:
        """Use the API server."""
        self._kube = kube

    async def execute(self, action: Action, wanted: Desired, seen: Observation) -> None:
        """Do it. Raises `errors.KubeError`."""
        namespace = seen.namespace
        log.info("%s/%s: %s", namespace, seen.ledger["metadata"]["name"], action)
        match action:
            case rollout.Replace(pod=pod, uid=uid):
                await self._kube.delete(kinds.POD, namespace, pod, uid=uid)
            case decommission.DeleteClaim(claim=claim, uid=uid):
                await self._kube.delete(kinds.VOLUME_CLAIM, namespace, claim, uid=uid)
            case decommission.Finish(job=job, uid=uid):
                await self._kube.delete(kinds.JOB, namespace, job, uid=uid)
            case decommission.Begin(pod=pod):
                await self._begin(pod, wanted, seen)

    async def _begin(self, pod: str, wanted: Desired, seen: Observation) -> None:
        node = seen.nodes.by_pod.get(pod) if seen.nodes else None
        if node is None or node.node_id is None:
            raise errors.Unreachable(f"metrics page of {pod}", "no answer: the ID of the node is not known")
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        job = decommission_job(ledger, pod, node.node_id)
        try:
            await self._kube.create(kinds.JOB, job)
        except errors.Conflict:
            return  # made by an earlier run whose answer was lost
