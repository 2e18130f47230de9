"""A ledger, an API server in memory and controllers that do their work at once: a reconcile from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chronicle_operator import kinds
from chronicle_operator.conditions import timestamp
from chronicle_operator.health import Health, HealthClient
from chronicle_operator.metrics import Metrics
from chronicle_operator.nodes import Node, Nodes
from chronicle_operator.reconcile import Reconciler
from chronicle_operator.scenarios.runs import Scenarios
from chronicle_operator.status_model import LedgerStatus
from chronicle_operator.workqueue import LedgerKey
from support.memory_kube import MemoryKube, Object
from support.operator_objects import NOW

KEY = LedgerKey("ns", "main")


class Steady(HealthClient):
    """Ledgers and nodes that are well, without a network."""

    def __init__(self) -> None:
        """Need no session."""

    async def ask(self, url: str, authority: str | None) -> Health | None:
        """See `HealthClient.ask`."""
        del url, authority
        return Health("ok")

    async def nodes(self, urls: Mapping[str, str], authority: str | None) -> Nodes:
        """See `HealthClient.nodes`."""
        del authority
        return Nodes({pod: Node(place, 0, 0, 40) for place, pod in enumerate(urls, 1)})


class World:
    """The ledger `main`, its operator and its cluster."""

    def __init__(self, **spec: Any) -> None:
        """Make the ledger with this spec; nothing has been reconciled yet."""
        self.now: datetime = NOW
        meta = {"name": KEY.name, "namespace": KEY.namespace, "uid": "L"}
        body = {"apiVersion": kinds.LEDGER.api_version, "kind": kinds.LEDGER.kind, "metadata": meta, "spec": spec}
        self.kube = MemoryKube(body)
        self.metrics = Metrics()
        self.restart()

    def restart(self) -> None:
        """Start another operator, which remembers nothing."""
        self.reconciler = Reconciler(
            self.kube,
            Steady(),
            self.metrics,
            clock=lambda: self.now,
            instance="test",
            extension=Scenarios(self.kube, lambda: self.now),
        )

    @property
    def ledger(self) -> Object:
        """The stored resource."""
        return self.kube.find(kinds.LEDGER, KEY.name)

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec; None takes one away."""
        chosen = {**self.ledger["spec"], **spec}
        self.ledger["spec"] = {key: value for key, value in chosen.items() if value is not None}
        self.ledger["metadata"]["generation"] += 1

    async def reconcile(self) -> float | None:
        """Reconcile once; raises what the queue would be told."""
        return await self.reconciler.reconcile(KEY)

    async def settle(self, rounds: int = 8) -> None:
        """Reconcile until there is nothing more to do, while controllers keep up."""
        for _ in range(rounds):
            await self.reconcile()
            self.run_controllers()
            self.now += timedelta(seconds=30)

    def condition(self, kind: str) -> Object:
        """Return a condition of the stored status, which has declared fields only."""
        LedgerStatus.model_validate(self.ledger["status"])
        return next(dict(it) for it in self.ledger["status"]["conditions"] if it["type"] == kind)

    def run_controllers(self) -> None:
        """Do what Kubernetes' controllers would: pods, volume claims, and statuses."""
        for job in self.kube.of(kinds.JOB):
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        for kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET):
            for item in self.kube.of(kind):
                replicas = item["spec"]["replicas"]
                item["status"] = {
                    "observedGeneration": item["metadata"]["generation"],
                    "updateRevision": f"revision-{hash(str(item['spec']['template']))}",
                    **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas),
                }
        for item in self.kube.of(kinds.STATEFUL_SET):
            self._pods(item)

    def _pods(self, owner: Object) -> None:
        name, labels = owner["metadata"]["name"], owner["spec"]["template"]["metadata"]["labels"]
        for pod in [it for it in self.kube.of(kinds.POD) if it["metadata"]["name"].rpartition("-")[0] == name]:
            if int(pod["metadata"]["name"].rpartition("-")[2]) >= owner["spec"]["replicas"]:
                del self.kube.objects["", "Pod", KEY.namespace, pod["metadata"]["name"]]
        for number in range(owner["spec"]["replicas"]):
            key = ("", "Pod", KEY.namespace, f"{name}-{number}")
            if key in self.kube.objects:
                continue
            meta = {
                "name": f"{name}-{number}",
                "namespace": KEY.namespace,
                "labels": {**labels, "controller-revision-hash": owner["status"]["updateRevision"]},
                "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
            }
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(self.now)}
            status = {"podIP": "10.0.0.1", "conditions": [ready]}
            self.kube.put(kinds.POD, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status})
            claim = {"name": f"data-{name}-{number}", "namespace": KEY.namespace, "labels": labels}
            if ("", "PersistentVolumeClaim", KEY.namespace, claim["name"]) not in self.kube.objects:
                self.kube.put(
                    kinds.VOLUME_CLAIM, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim}
                )
