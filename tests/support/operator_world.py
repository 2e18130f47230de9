"""A ledger, an API server in memory and controllers that do their work at once: a reconcile from end to end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chronicle_operator.backups.making import Backups
from chronicle_operator.backups.restoring import Restores
from chronicle_operator.kube import kinds
from chronicle_operator.observe.health import Health, HealthClient
from chronicle_operator.observe.nodes import Node, Nodes
from chronicle_operator.reconcile.extension import together
from chronicle_operator.reconcile.reconcile import Reconciler
from chronicle_operator.reconcile.workqueue import LedgerKey
from chronicle_operator.scenarios.runs import Scenarios
from chronicle_operator.seals.sealing import Seals
from chronicle_operator.serve.metrics import Metrics
from chronicle_operator.status.conditions import timestamp
from chronicle_operator.status.status_model import LedgerStatus
from support.memory_kube import MemoryKube, Object
from support.operator_objects import NOW

KEY = LedgerKey("ns", "main")


def seal_after(before: Object | None) -> Object:
    """Return a seal that follows another one, as `chronicle seal --json` prints it."""
    number = before["number"] + 1 if before else 1
    root = hashlib.sha256(str(number).encode()).hexdigest()
    return {
        "number": number, "at": "2026-03-01T12:00:00.000000Z", "transactions": number * 10, "root": root,
        "previous": before["root"] if before else "0" * 64, "public_key": "ab" * 32,
    }  # fmt: skip


def ended_pod(job: Object, code: int, message: str) -> Object:
    """Return the pod of a seal's Job after its end."""
    name = job["metadata"]["name"]
    labels = {**job["spec"]["template"]["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
    state = {"terminated": {"exitCode": code, "message": message}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-pod", "namespace": KEY.namespace, "labels": labels},
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "seal", "state": state}],
        },
    }


def containers_of(job: Object) -> list[Object]:
    """Return the containers of a Job's pod in the order in which they run."""
    spec = job["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def steps_of(job: Object) -> list[str]:
    """Return their names."""
    return [str(it["name"]) for it in containers_of(job)]


def backup_after(made: list[Object], *, full: bool) -> Object:
    """Return a backup that follows others, as `chronicle backup create --json` prints it."""
    number = len(made) + 1
    digest = hashlib.sha256(f"backup {number}".encode()).hexdigest()
    return {
        "id": f"20260301T1200{number:02}000000Z-0000000a",
        "kind": "full" if full or not made else "incremental",
        "at": f"2026-03-01T12:00:{number:02}.000000Z",
        "transactions": 10,
        "ledger_transactions": 10 * number,
        "stored_bytes": 1234,
        "head": digest,
        "root": digest[::-1],
        "seal": {"number": number, "root": digest},
        "public_key": "ab" * 32,
        "encrypted": False,
    }


def kept_pod(job: Object, ended: list[tuple[str, int, str]]) -> Object:
    """Return the pod of a backup's or a restore's Job, whose containers ended so, one after the other."""
    name = job["metadata"]["name"]
    labels = {**job["spec"]["template"]["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
    statuses: list[Object] = []
    failed = False
    for step, code, message in ended:
        state = {"waiting": {"reason": "PodInitializing"}} if failed else {
            "terminated": {"exitCode": code, "message": message}
        }  # fmt: skip
        statuses.append({"name": step, "state": state})
        failed = failed or code != 0
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-pod", "namespace": KEY.namespace, "labels": labels},
        "status": {
            "phase": "Failed" if failed else "Succeeded",
            "initContainerStatuses": statuses[:-1],
            "containerStatuses": statuses[-1:],
        },
    }


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
        self.seals: list[Object] = []
        """What the database holds."""
        self.backups: list[Object] = []
        """What lies at the destination."""
        self.answers: dict[str, tuple[int, str]] = {}
        """Exit status and last words of a step of a backup's or a restore's Job, where it does not do its work."""
        self.restart()

    def restart(self) -> None:
        """Start another operator, which remembers nothing."""
        self.reconciler = Reconciler(
            self.kube,
            Steady(),
            self.metrics,
            clock=self.clock,
            instance="test",
            extension=together(
                Scenarios(self.kube, self.clock),
                Seals(self.kube, self.clock),
                Restores(self.kube, self.clock),
                Backups(self.kube, self.clock, "test"),
            ),
        )

    def clock(self) -> datetime:
        """Return what time it is."""
        return self.now

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
            if "-seal-" in job["metadata"]["name"]:
                self._seal(job)
            if any(it in job["metadata"]["name"] for it in ("-backup-", "-restore-")):
                self._keep(job)
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

    def _seal(self, job: Object) -> None:
        """Have the seal's pod end, once, with the next seal."""
        name = f"{job['metadata']['name']}-pod"
        if ("", "Pod", KEY.namespace, name) in self.kube.objects:
            return
        self.seals.append(seal_after(self.seals[-1] if self.seals else None))
        self.kube.put(kinds.POD, ended_pod(job, 0, json.dumps({"made": True, "seal": self.seals[-1]})))

    def _keep(self, job: Object) -> None:
        """Have the pod of a backup or a restore end, once; a step that fails ends it."""
        name = f"{job['metadata']['name']}-pod"
        if ("", "Pod", KEY.namespace, name) not in self.kube.objects:
            self.kube.put(kinds.POD, kept_pod(job, [(it, *self._answer(it, job)) for it in steps_of(job)]))

    def _answer(self, step: str, job: Object) -> tuple[int, str]:
        if step in self.answers:
            return self.answers[step]
        if step == "create":
            arguments = next(it["args"] for it in containers_of(job) if it["name"] == "create")
            made = backup_after(self.backups, full="--full" in arguments)
            self.backups.append(made)
            return 0, json.dumps(made)
        if step == "restore":
            last = self.backups[-1] if self.backups else backup_after([], full=True)
            done = {"backup": last["id"], "transactions": 10, "accounts": 3, "seals": 1, "head": last["head"]}
            return 0, json.dumps({**done, "seal_keys": ["cd" * 32], "result": "Passed"})
        return 0, json.dumps({"deleted": []}) if step == "prune" else ""

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
