"""The files that the code decides: the CRD and the Roles, for plain manifests and for the chart."""

from __future__ import annotations

from typing import Any

import yaml

from chronicle_operator import crd, rbac
from chronicle_operator.kinds import MANAGER
from chronicle_operator.resources.podkit import CHRONICLE_USER as USER
from chronicle_operator.resources.podkit import CONTAINER_SECURITY, http_probe, pod_security
from chronicle_operator.spec import API_IMAGE

NAMESPACE = "chronicle-system"
HEADER = "# Generated from the code by `make generate`; changes made here are lost.\n"
LABELS = {"app.kubernetes.io/name": MANAGER, "app.kubernetes.io/part-of": "chronicle-ledger"}

Manifest = dict[str, Any]


def files() -> dict[str, str]:
    """Return path (relative to the repository's root) and text of every generated file."""
    chart = "charts/chronicle-operator/files"
    return {
        "manifests/crd.yaml": dump(crd.manifest()),
        "manifests/rbac-namespaced.yaml": dump(*_namespaced()),
        "manifests/rbac-cluster.yaml": dump(*_cluster()),
        "manifests/operator.yaml": dump(_namespace(), _deployment(["--namespace", "$(POD_NAMESPACE)"])),
        "manifests/operator-all-namespaces.yaml": dump(_namespace(), _deployment(["--all-namespaces"])),
        f"{chart}/crd.yaml": dump(crd.manifest()),
        f"{chart}/rules.yaml": dump(rbac.rules()),
        f"{chart}/secret-rules.yaml": dump(rbac.secret_rules()),
    }


def dump(*documents: object) -> str:
    """Return YAML as people write it: keys in their order, blocks rather than braces."""
    texts = [yaml.dump(it, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True) for it in documents]
    return HEADER + "---\n".join(texts)


class _Plain(yaml.SafeDumper):
    """No anchors: people and their tools read the files."""

    def ignore_aliases(self, data: object) -> bool:
        """Write everything out."""
        del data
        return True


def _namespace() -> Manifest:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}


def _meta(name: str, namespace: str | None = NAMESPACE) -> Manifest:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": LABELS}


def _account() -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(MANAGER)}


def _binding(kind: str, name: str, role_kind: str, role: str, namespace: str | None) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _meta(name, namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": MANAGER, "namespace": NAMESPACE}],
    }


def _role(kind: str, name: str, rules: list[Manifest], namespace: str | None) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _meta(name, namespace),
        "rules": rules,
    }


def _namespaced() -> list[Manifest]:
    return [
        _namespace(),
        _account(),
        _role("Role", MANAGER, [*rbac.rules(), *rbac.secret_rules()], NAMESPACE),
        _binding("RoleBinding", MANAGER, "Role", MANAGER, NAMESPACE),
    ]


def _cluster() -> list[Manifest]:
    secrets = f"{MANAGER}-secrets"
    return [
        _namespace(),
        _account(),
        _role("ClusterRole", MANAGER, rbac.rules(), None),
        _binding("ClusterRoleBinding", MANAGER, "ClusterRole", MANAGER, None),
        # Bound where ledgers live: here, and by you in every other namespace (docs/operator.md has the command).
        _role("ClusterRole", secrets, rbac.secret_rules(), None),
        _binding("RoleBinding", secrets, "ClusterRole", secrets, NAMESPACE),
    ]


def _deployment(namespaces: list[str]) -> Manifest:
    selector = {"app.kubernetes.io/name": MANAGER}
    container: Manifest = {
        "name": "operator",
        "image": API_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["operator", "run", *namespaces],
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "livenessProbe": http_probe(
            "/livez", "http", tls=False, initialDelaySeconds=10, periodSeconds=10, timeoutSeconds=5, failureThreshold=3
        ),
        "readinessProbe": http_probe("/readyz", "http", tls=False, periodSeconds=5, timeoutSeconds=5),
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the pod
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(MANAGER),
        "spec": {
            "replicas": 1,
            # Two operators at once would work against each other.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "serviceAccountName": MANAGER,
                    "enableServiceLinks": False,
                    "securityContext": pod_security(USER),
                    "terminationGracePeriodSeconds": 30,
                    "containers": [container],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }
