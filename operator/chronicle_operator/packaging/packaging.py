"""The files that the code decides: the CRD and the Roles, for plain manifests and for the chart."""

from __future__ import annotations

import yaml

from chronicle_contract.labels import APPLICATION, DOMAIN, MANAGER, NAME, PART_OF
from chronicle_operator import crd
from chronicle_operator.crd.spec import API_IMAGE
from chronicle_operator.packaging import rbac
from chronicle_operator.resources.context import Manifest
from chronicle_operator.resources.podkit import CHRONICLE_USER as USER
from chronicle_operator.resources.podkit import CONTAINER_SECURITY, LAST_WORDS, http_probe, pod_security, scratch

NAMESPACE = "chronicle-system"
HEADER = "# Generated from the code by `make generate`; changes made here are lost.\n"
LABELS = {NAME: MANAGER, PART_OF: APPLICATION}


def files() -> dict[str, str]:
    """Return path (relative to the repository's root) and text of every generated file."""
    chart = "charts/chronicle-operator/files"
    return {
        "manifests/crd.yaml": dump(crd.manifest(), crd.backup_manifest()),
        "manifests/rbac-namespaced.yaml": dump(*_namespaced()),
        "manifests/rbac-cluster.yaml": dump(*_cluster()),
        "manifests/operator.yaml": dump(_namespace(), _deployment(["--namespace", "$(POD_NAMESPACE)"])),
        "manifests/operator-all-namespaces.yaml": dump(_namespace(), _deployment(["--all-namespaces"])),
        f"{chart}/crd.yaml": dump(crd.manifest()),
        f"{chart}/crd-backups.yaml": dump(crd.backup_manifest()),
        "manifests/rbac-people.yaml": dump(*_people()),
        f"{chart}/namespace-rules.yaml": dump(rbac.namespace_rules()),
        f"{chart}/cluster-rules.yaml": dump(rbac.cluster_rules()),
        f"{chart}/people.yaml": dump({"trust": rbac.TRUST, "view": rbac.view_rules(), "edit": rbac.edit_rules()}),
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
        _role("Role", MANAGER, rbac.namespace_rules(), NAMESPACE),
        _binding("RoleBinding", MANAGER, "Role", MANAGER, NAMESPACE),
    ]


def _cluster() -> list[Manifest]:
    ledgers = f"{MANAGER}-ledgers"
    return [
        _namespace(),
        _account(),
        _role("ClusterRole", MANAGER, rbac.cluster_rules(), None),
        _binding("ClusterRoleBinding", MANAGER, "ClusterRole", MANAGER, None),
        # Bound where ledgers live: here, and by you in every other namespace (docs/operator.md has the command).
        _role("ClusterRole", ledgers, rbac.namespace_rules(), None),
        _binding("RoleBinding", ledgers, "ClusterRole", ledgers, NAMESPACE),
    ]


def _people() -> list[Manifest]:
    """Return the roles of people, which Kubernetes adds to its own `view`, `edit` and `admin`."""
    found = []
    for name, rules in (("view", rbac.view_rules()), ("edit", rbac.edit_rules())):
        role = _role("ClusterRole", f"chronicle-ledger-{name}", rules, None)
        role["metadata"]["labels"] = {**LABELS, f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}
        role["metadata"]["annotations"] = {f"{DOMAIN}/trust": rbac.TRUST}
        found.append(role)
    return found


def _deployment(namespaces: list[str]) -> Manifest:
    selector = {NAME: MANAGER}
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
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": LAST_WORDS,
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
                    "volumes": [scratch(size="64Mi")],
                },
            },
        },
    }
