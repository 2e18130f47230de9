"""Do what an agenda says: the only place where pods, volume claims and operations' Jobs are touched."""

from __future__ import annotations

import logging

from chronicle_operator import errors, kinds
from chronicle_operator.day2 import decommission, rollout
from chronicle_operator.day2.decommission_job import decommission_job
from chronicle_operator.day2.operations import Action
from chronicle_operator.desired import Desired
from chronicle_operator.health import HealthClient
from chronicle_operator.kube import Kube
from chronicle_operator.observe import Observation
from chronicle_operator.pods import name
from chronicle_operator.resources import LedgerContext, names

log = logging.getLogger(__name__)


class Executor:
    """Carries out one action at a time. Each may be repeated: what is done already is no error."""

    def __init__(self, kube: Kube, health: HealthClient) -> None:
        """Use the API server, and the database's metrics page to learn a node's ID."""
        self._kube = kube
        self._health = health

    async def execute(self, action: Action, wanted: Desired, seen: Observation) -> None:
        """Do it. Raises `errors.KubeError`."""
        namespace = seen.namespace
        log.info("%s/%s: %s", namespace, seen.ledger["metadata"]["name"], action)
        match action:
            case rollout.Replace(pod=pod, uid=uid):
                await self._kube.delete(kinds.POD, namespace, pod, uid=uid)
            case decommission.DeleteClaim(claim=claim):
                await self._kube.delete(kinds.VOLUME_CLAIM, namespace, claim)
            case decommission.Finish(job=job, uid=uid):
                await self._kube.delete(kinds.JOB, namespace, job, uid=uid)
            case decommission.Begin(pod=pod):
                await self._begin(pod, wanted, seen)

    async def _begin(self, pod: str, wanted: Desired, seen: Observation) -> None:
        host = names.pod_address(pod, names.cockroach(name(seen.ledger)), seen.namespace)
        url = f"{'https' if wanted.authority else 'http'}://{host}:{names.HTTP_PORT}/_status/vars"
        node = await self._health.node_id(url, wanted.authority)
        if node is None:
            raise errors.Unreachable(f"GET {url}", "no answer: the ID of the node to decommission is not known")
        ledger = LedgerContext(name(seen.ledger), seen.namespace, seen.uid, wanted.spec)
        job = decommission_job(ledger, pod, node)
        try:
            await self._kube.create(kinds.JOB, job)
        except errors.Conflict:
            return  # made by an earlier run whose answer was lost
