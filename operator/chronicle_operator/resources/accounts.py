"""ServiceAccounts: one a component, all without a token but that of scenario runs, which has a Role of its own."""

from __future__ import annotations

from chronicle_contract import experiments
from chronicle_operator.resources import names, service_pod
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import metadata

COMPONENTS = ("cockroachdb", "nats", "api", "relay", "projector", "jobs")


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the ServiceAccounts, and Role and RoleBinding of scenario runs."""
    accounts = [_account(ledger, service_pod.account(ledger, it), it) for it in COMPONENTS]
    name = names.scenarios(ledger.name)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(ledger, name, "scenarios"),
        "rules": scenario_rules(ledger),
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(ledger, name, "scenarios"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": ledger.namespace}],
    }
    return [*accounts, _account(ledger, name, "scenarios"), role, binding]


def scenario_rules(ledger: LedgerContext) -> list[Manifest]:
    """Return what a scenario run may do: look at pods, make experiments, write its report. It kills nothing itself."""
    slots = [names.report(ledger.name, slot) for slot in range(ledger.spec.resilience.keep_reports)]
    return [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {
            "apiGroups": [experiments.GROUP],
            "resources": ["podchaos", "networkchaos"],
            "verbs": ["create", "get", "list", "delete"],
        },
        # Whether somebody else's experiments are at work on the same pods.
        {"apiGroups": [experiments.GROUP], "resources": list(experiments.OTHERS.values()), "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "resourceNames": slots},
    ]


def _account(ledger: LedgerContext, name: str, component: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(ledger, name, component),
        "automountServiceAccountToken": False,
    }
