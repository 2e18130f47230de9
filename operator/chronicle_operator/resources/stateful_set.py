"""A StatefulSet as the database and the bus have it: one a region, a volume a pod, pods that the operator replaces."""

from __future__ import annotations

from collections.abc import Mapping

from chronicle_operator.crd.spec import Storage
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import labels, metadata, selector
from chronicle_operator.resources.placement import Group


def build(
    ledger: LedgerContext,
    group: Group,
    component: str,
    name: str,
    *,
    headless: str,
    storage: Storage,
    annotations: Mapping[str, str],
    pod: Manifest,
) -> Manifest:
    """Return the StatefulSet of a region; `headless` is the Service by which its pods are addressed."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(ledger, name, component, group.region_name),
        "spec": {
            "serviceName": headless,
            "replicas": 0 if ledger.spec.hibernated else group.replicas,
            # One after the other, the first would wait for ever for a quorum of pods that are not yet started.
            "podManagementPolicy": "Parallel",
            # Pods are replaced by the operator, one at a time in all regions, once the cluster is whole again.
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": ledger.spec.deletion_policy.value,
                "whenScaled": "Retain",
            },
            "selector": {"matchLabels": selector(ledger, component, group.region_name)},
            "template": {
                "metadata": {
                    "labels": labels(ledger, component, group.region_name),
                    "annotations": dict(annotations),
                },
                "spec": pod,
            },
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "labels": selector(ledger, component, group.region_name)},
                    "spec": _claim(storage),
                }
            ],
        },
    }


def _claim(storage: Storage) -> Manifest:
    claim: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}}
    if storage.storage_class_name:
        claim["storageClassName"] = storage.storage_class_name
    return claim
