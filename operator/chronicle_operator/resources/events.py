"""Relay and projector. Both share their work out among their replicas, in whatever region these are."""

from __future__ import annotations

from chronicle_operator.resources import names, service_pod
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import labels, metadata, selector
from chronicle_operator.resources.podkit import disruption_budget, secret_annotations


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the Deployments of relay and projector, and their disruption budgets."""
    spec = ledger.spec.events
    return [
        _budget(ledger, "relay", names.relay(ledger.name)),
        _budget(ledger, "projector", names.projector(ledger.name)),
        _deployment(ledger, "relay", names.relay(ledger.name), spec.relay_replicas),
        _deployment(ledger, "projector", names.projector(ledger.name), spec.projector_replicas),
    ]


def _budget(ledger: LedgerContext, component: str, name: str) -> Manifest:
    return disruption_budget(metadata(ledger, name, component), selector(ledger, component))


def _deployment(ledger: LedgerContext, component: str, name: str, replicas: int) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(ledger, name, component),
        "spec": {
            "replicas": 0 if ledger.spec.hibernated else replicas,
            "selector": {"matchLabels": selector(ledger, component)},
            "template": {
                "metadata": {
                    "labels": labels(ledger, component),
                    "annotations": secret_annotations(ledger, [names.nats_password(ledger.name, component)]),
                },
                "spec": service_pod.pod(
                    ledger,
                    component,
                    arguments=["serve", component],
                    region=None,
                    wanted=ledger.spec.events.resources,
                    extra_variables={},
                ),
            },
        },
    }
