"""What all pods have in common: the restricted security profile, probes, spread, volumes of Secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_contract.labels import DOMAIN
from chronicle_operator.crd.spec import Region, Resources
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import selector

CONTAINER_SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SCRATCH = "1Gi"
"""What a pod may write into its temporary directory until it is evicted: without a bound, the disk of its machine."""
LAST_WORDS = "FallbackToLogsOnError"
"""Every container's `terminationMessagePolicy`: the end of a crashed one's log is in the pod's status.

There the operator finds it without a right to read logs.
"""

SECRET_MODE = 0o440
"""Keys belong to root and are read by the pod's group: what libpq and CockroachDB accept, without an init container."""

CHRONICLE_USER = 10001
COCKROACH_USER = 1000
NATS_USER = 1000


def pod_security(user: int) -> Manifest:
    """Return the security context of a pod, as the profile `restricted` of Kubernetes wants it."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(of: Resources) -> Manifest:
    """Return requests and limits as a container has them."""
    return of.model_dump(exclude_none=True)


def placement(ledger: LedgerContext, component: str, region: Region | None, *, rolled: bool = False) -> Manifest:
    """Return node selector, tolerations, and the wish to be spread over machines and zones.

    Wishes, not demands: on a cluster with fewer machines than nodes the ledger still starts. `rolled`: pods of a
    Deployment, of which old and new ones are there together while it is rolled out. The new ones are spread among
    themselves, or both may end up where there happened to be fewer old ones.
    """
    among: Manifest = {"matchLabelKeys": ["pod-template-hash"]} if rolled else {}
    mine = {"matchLabels": selector(ledger, component, region.name if region else None)}
    chosen: Manifest = {
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {"labelSelector": mine, "topologyKey": "kubernetes.io/hostname"},
                    }
                ]
            }
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": mine,
                **among,
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
    }
    if region and region.node_selector:
        chosen["nodeSelector"] = dict(region.node_selector)
    if region and region.tolerations:
        chosen["tolerations"] = [it.model_dump(by_alias=True, exclude_none=True) for it in region.tolerations]
    return chosen


def pull_secrets(ledger: LedgerContext) -> Manifest:
    """Return the pod's `imagePullSecrets`, if there are any."""
    chosen = ledger.spec.image_pull_secrets
    return {"imagePullSecrets": [{"name": it.name} for it in chosen]} if chosen else {}


def common(
    ledger: LedgerContext, component: str, region: Region | None, user: int, *, rolled: bool = False
) -> Manifest:
    """Return what the spec of every long-running pod says: no token of its own, where it may run, as whom."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pull_secrets(ledger),
        **placement(ledger, component, region, rolled=rolled),
        "securityContext": pod_security(user),
    }


def http_probe(path: str, port: str, *, tls: bool, **timing: int) -> Manifest:
    """Return an HTTP probe. The kubelet does not verify certificates."""
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTPS" if tls else "HTTP"}, **timing}


def secret_volume(name: str, secret: str, items: Mapping[str, str] | None = None) -> Manifest:
    """Return a volume of a Secret; `items` maps its entries to file names."""
    source: Manifest = {"secretName": secret, "defaultMode": SECRET_MODE}
    if items:
        source["items"] = [{"key": key, "path": path} for key, path in items.items()]
    return {"name": name, "secret": source}


def certificate_volume(name: str, secret: str, certificate: str, key: str) -> Manifest:
    """Return a volume with `ca.crt` and a pair of files of the names that the reader expects."""
    return secret_volume(name, secret, {"ca.crt": "ca.crt", "tls.crt": certificate, "tls.key": key})


def scratch(name: str = "tmp", size: str = SCRATCH, *, in_memory: bool = False) -> Manifest:
    """Return a temporary directory of at most this size. In memory it counts against the containers' limits."""
    return {"name": name, "emptyDir": {**({"medium": "Memory"} if in_memory else {}), "sizeLimit": size}}


def mount(name: str, path: str, *, writable: bool = False) -> Manifest:
    """Return a volume mount."""
    return {"name": name, "mountPath": path} if writable else {"name": name, "mountPath": path, "readOnly": True}


def environment(plain: Mapping[str, str], **from_fields: str) -> list[Manifest]:
    """Return environment variables: fields of the pod first, so that the others can refer to them as `$(NAME)`."""
    fields: list[Manifest] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in from_fields.items()
    ]
    return fields + [{"name": name, "value": value} for name, value in plain.items()]


def from_secret(variable: str, secret: str, key: str) -> Manifest:
    """Return an environment variable that holds a Secret's entry."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def secret_annotations(ledger: LedgerContext, names: Sequence[str]) -> dict[str, str]:
    """Return annotations that change with the Secrets, so that the pods that read them once are replaced."""
    return {
        f"{DOMAIN}/hash-{name.removeprefix(ledger.name + '-')}": ledger.secret_hashes[name]
        for name in names
        if name in ledger.secret_hashes
    }


def service(metadata: Manifest, select: Mapping[str, str], ports: Mapping[str, int], **spec: Any) -> Manifest:
    """Return a Service whose ports are named as the containers' ports are."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            **spec,
            "selector": dict(select),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports.items()
            ],
        },
    }


def disruption_budget(metadata: Manifest, select: Mapping[str, str]) -> Manifest:
    """Return a budget by which one pod at a time may be evicted, in all regions together."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(select)}},
    }
