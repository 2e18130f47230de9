"""What the tests share: the operator, its ledgers, clients inside the cluster, and the figures of the run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from .machine import Kubectl, Object, until

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = "chronicle-e2e"
OPERATOR_NAMESPACE = "chronicle-system"
NAMESPACES = ("ledger-a", "ledger-b")
IMAGE = os.environ.get("IMAGE", "chronicle-ledger:dev")
NODE_IMAGE = os.environ.get("KIND_NODE_IMAGE", "")
CHAOS_MESH_CHART = os.environ.get("CHAOS_MESH_CHART", "https://charts.chaos-mesh.org")
COCKROACH_IMAGE = os.environ.get("COCKROACH_IMAGE", "")
NATS_IMAGE = os.environ.get("NATS_IMAGE", "")
CHART = ROOT / "charts" / "chronicle-operator"
SAMPLES = ROOT / "manifests" / "samples"
CHILD_KINDS = (
    "serviceaccounts,roles,rolebindings,secrets,configmaps,services,networkpolicies,poddisruptionbudgets,"
    "statefulsets,jobs,deployments"
)
RATE = 10
"""Requests a second during scenarios: what the ledger bears easily beside a Kubernetes cluster on two cores."""

SABOTAGED = f"{IMAGE}-sabotaged"
"""The image under test without idempotency: each request is posted anew, whatever its key."""

CLIENT = Path(__file__).with_name("client_script.py")


@dataclass(frozen=True)
class Ledger:
    """A ChronicleLedger by namespace and name."""

    namespace: str
    name: str
    kubectl: Kubectl

    def object(self) -> Object:
        """Return the resource. Raises AssertionError when there is none."""
        found = self.kubectl.get("chronicleledger", self.name, self.namespace)
        assert found is not None, f"no ChronicleLedger {self.namespace}/{self.name}"
        return found

    def status(self) -> Object:
        """Return the status, empty before the operator has written one."""
        return dict(self.object().get("status") or {})

    def condition(self, kind: str) -> Object:
        """Return a condition, empty when there is none yet."""
        return next((it for it in self.status().get("conditions", []) if it["type"] == kind), {})

    def ready(self) -> bool:
        """Whether it is Ready, at its present generation, with nothing in progress."""
        found = self.object()
        status = found.get("status") or {}
        conditions = {it["type"]: it["status"] for it in status.get("conditions", [])}
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return current and conditions.get("Ready") == "True" and conditions.get("Progressing") == "False"

    def wait_ready(self, seconds: float) -> None:
        """Wait until it is Ready; on failure say what its conditions are."""
        try:
            until(f"{self.name} in {self.namespace} is Ready", self.ready, seconds=seconds)
        except AssertionError as late:
            told = [
                f"{it['type']}={it['status']} {it['reason']}: {it['message']}" for it in self.status()["conditions"]
            ]
            raise AssertionError("\n".join([str(late), *told])) from None

    def edit(self, spec: Object) -> None:
        """Merge-patch the spec."""
        self.kubectl.merge("chronicleledger", self.name, self.namespace, {"spec": spec})

    @contextmanager
    def trying(self, spec: Object) -> Iterator[None]:
        """Merge-patch the spec while the block runs. What was there before comes back whatever happens: a spec that is
        left behind would fail every later test."""
        undo = inverse(spec, self.object()["spec"])
        self.edit(spec)
        try:
            yield
        finally:
            self.edit(undo)

    def resize(self, database_nodes: dict[str, int]) -> None:
        """Ask for so many database nodes in each region."""
        regions: list[Object] = self.object()["spec"]["regions"]
        self.edit({"regions": [{**it, "cockroachReplicas": database_nodes[it["name"]]} for it in regions]})

    def children(self) -> list[Object]:
        """Return every object that names the ledger as its controller."""
        uid = self.object()["metadata"]["uid"]
        items = self.kubectl.list(CHILD_KINDS, self.namespace)
        return [it for it in items if any(owner["uid"] == uid for owner in it["metadata"].get("ownerReferences", []))]

    def pods(self, component: str) -> list[Object]:
        """Return the pods of a component, by name."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return self.kubectl.list("pods", self.namespace, selector)

    def data_plane(self) -> set[str]:
        """Return the uids of the pods that make up the ledger, without those on their way out."""
        components = ("cockroachdb", "nats", "api")
        return {it["metadata"]["uid"] for component in components for it in staying(self.pods(component))}


def staying(pods: list[Object]) -> list[Object]:
    """Return those that are not on their way out: a deleted pod is listed until it has ended."""
    return [it for it in pods if not it["metadata"].get("deletionTimestamp")]


def inverse(patch: Object, before: Object) -> Object:
    """Return the merge patch that undoes `patch` on what was `before`: old values, and null for what was not there."""
    undo: Object = {}
    for key, value in patch.items():
        old = before.get(key)
        undo[key] = inverse(value, old) if isinstance(value, dict) and isinstance(old, dict) else old
    return undo


class World:
    """The operator in its namespace, and what was measured."""

    figures: ClassVar[dict[str, str]] = {}

    def __init__(self, kubectl: Kubectl) -> None:
        """Use the cluster behind `kubectl`."""
        self.kubectl = kubectl

    def install_operator(self) -> None:
        """Install the chart with the image under test, for all namespaces that the tests use."""
        for namespace in NAMESPACES:
            self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        repository, _, tag = IMAGE.rpartition(":")
        self.kubectl.helm(
            *("upgrade", "--install", "chronicle-operator", str(CHART)),
            *("-n", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "120s"),
            *("--set", f"image.repository={repository},image.tag={tag},image.pullPolicy=Never"),
            *("--set", f"watch.namespaces={{{','.join(NAMESPACES)}}}"),
        )

    def operator_pod(self) -> Object:
        """Return the operator's pod, as soon as there is one: a killed one takes a moment to be replaced."""

        def alone() -> Object | None:
            pods = self.kubectl.list("pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name=chronicle-operator")
            alive = staying(pods)
            return alive[0] if len(alive) == 1 else None

        return until("there is one operator pod", alone, seconds=60)

    def operator_metrics(self) -> dict[str, float]:
        """Return the operator's own counters, through the API server's proxy."""
        pod = self.operator_pod()["metadata"]["name"]
        path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics"
        lines = [it for it in self.kubectl("get", "--raw", path).splitlines() if it and not it.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def apply_sample(self, sample: str, namespace: str, **spec: Any) -> Ledger:
        """Apply a sample in `namespace`, with images that this machine has and memory that it can spare."""
        body: Object = yaml.safe_load((SAMPLES / f"{sample}.yaml").read_text())
        body["metadata"]["namespace"] = namespace
        chosen: Object = body["spec"]
        for part, image in (("cockroachdb", COCKROACH_IMAGE), ("nats", NATS_IMAGE), ("api", IMAGE)):
            if image:
                chosen.setdefault(part, {})["image"] = image
        for part in ("cockroachdb", "nats", "api"):
            chosen.setdefault(part, {})
        chosen["api"]["imagePullPolicy"] = "Never"
        # Requests are weights too: where the cores do not suffice, the database comes before what is beside it.
        small = {"requests": {"cpu": "350m", "memory": "256Mi"}}
        chosen["cockroachdb"] |= {
            "resources": small,
            "cache": "256MiB",  # of which the memtable takes 64
            "maxSqlMemory": "64MiB",
            "terminationGracePeriodSeconds": 12,  # a node drains in a few seconds, all of them at once never do
            "storage": {"size": "1Gi"},
        }
        chosen["nats"] |= {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}, "storage": {"size": "1Gi"}}
        chosen["api"]["resources"] = {"requests": {"cpu": "100m", "memory": "128Mi"}}
        # The first seal is made at once; the next ones must not meet what the tests measure.
        chosen["seal"] = {"schedule": "17 4 * * *"}
        chosen |= spec
        chosen.setdefault("resilience", {}).setdefault("rate", RATE)
        self.kubectl.apply(body)
        return Ledger(namespace, body["metadata"]["name"], self.kubectl)

    def ask(self, ledger: Ledger, mode: str, seconds: float = 120, **more: str) -> Object:
        """Run the client once inside the cluster and return what it prints."""
        asked = [f"{name}={value}" for name, value in {"MODE": mode, **more}.items()]
        script = ("env", *asked, "python", "/script/client.py")
        said = self.kubectl("-n", ledger.namespace, "exec", self._resident(ledger), "--", *script, seconds=seconds)
        return dict(json.loads(said.strip().splitlines()[-1]))

    @contextmanager
    def load(self, ledger: Ledger) -> Iterator[Object]:
        """Post transfers through the Service while the block runs; the yielded dict is filled in at its end."""
        pod = f"client-load-{int(time.time() * 1000) % 10**9}"
        self.kubectl.apply(*client(ledger, pod, ["python", "/script/client.py"], {"MODE": "load"}))
        until(
            "the load is on",
            lambda: "loading" in self.kubectl("-n", ledger.namespace, "logs", pod),
            seconds=60,
        )
        follower = self.kubectl.follow("-n", ledger.namespace, "logs", "-f", pod)
        figures: Object = {}
        try:
            yield figures
        finally:
            # The deletion is the SIGTERM on which the client says what it saw; the follower reads it to the end.
            self.kubectl("-n", ledger.namespace, "delete", "pod", pod, "--grace-period=30")
            said, _ = follower.communicate(timeout=60)
        figures |= dict(json.loads(said.strip().splitlines()[-1]))

    def _resident(self, ledger: Ledger) -> str:
        """The pod from which this ledger is asked: one for as long as the ledger lives, since each takes seconds to
        start. Named after the ledger's uid: another one has other keys and another authority."""
        pod = f"client-{ledger.object()['metadata']['uid'][:8]}"
        if not self.kubectl.get("pod", pod, ledger.namespace):
            self.kubectl.apply(*client(ledger, pod, ["sleep", "infinity"], {}))
        self.kubectl("-n", ledger.namespace, "wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
        return pod


def client(ledger: Ledger, pod: str, command: list[str], more: dict[str, str]) -> list[Object]:
    """Return the pod of a client and the ConfigMap with its script."""
    tls = ledger.object()["spec"].get("tls", {}).get("mode") != "Disabled"
    scheme = "https" if tls else "http"
    url = f"{scheme}://{ledger.name}-api.{ledger.namespace}.svc:8080"
    environment = {"LEDGER_URL": url, "LEDGER_KEY_FILE": "/key/key", **more}
    volumes: list[Object] = [
        {"name": "script", "configMap": {"name": "e2e-client"}},
        {"name": "key", "secret": {"secretName": f"{ledger.name}-admin-key"}},
    ]
    mounts = [
        {"name": "script", "mountPath": "/script"},
        {"name": "key", "mountPath": "/key"},
    ]
    if tls:
        environment["LEDGER_CA_FILE"] = "/tls/ca.crt"
        items = [{"key": "ca.crt", "path": "ca.crt"}]
        volumes.append({"name": "tls", "secret": {"secretName": f"{ledger.name}-api-tls", "items": items}})
        mounts.append({"name": "tls", "mountPath": "/tls"})
    container = {
        "name": "client",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": command,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volumeMounts": mounts,
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "e2e-client", "namespace": ledger.namespace},
            "data": {"client.py": CLIENT.read_text()},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "namespace": ledger.namespace, "labels": {f"{ledger.name}-client": "true"}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 30,
                "containers": [container],
                "volumes": volumes,
            },
        },
    ]
