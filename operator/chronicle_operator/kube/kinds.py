"""The kinds the operator handles: how the API server calls them, and which a ledger's children can have."""

from __future__ import annotations

from chronicle_contract.labels import DOMAIN
from chronicle_kube import kind as shared
from chronicle_kube.kind import Kind

GROUP = DOMAIN
VERSION = "v1alpha1"

LEDGER = Kind(GROUP, VERSION, "ChronicleLedger", "chronicleledgers")
BACKUP = Kind(GROUP, VERSION, "ChronicleLedgerBackup", "chronicleledgerbackups")
POD = shared.POD
VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
EVENT = Kind("events.k8s.io", "v1", "Event", "events")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
JOB = Kind("batch", "v1", "Job", "jobs")
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = shared.CONFIG_MAP

CONFIDENTIAL = (SECRET, CONFIG_MAP)
"""Kinds of which an operator of every namespace sees nothing outside of the namespaces of ledgers."""

# In the order in which they are applied: what others refer to comes first.
CHILDREN: tuple[Kind, ...] = (
    Kind("", "v1", "ServiceAccount", "serviceaccounts"),
    Kind("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    SECRET,
    CONFIG_MAP,
    Kind("", "v1", "Service", "services"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    STATEFUL_SET,
    JOB,
    DEPLOYMENT,
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
)

BY_NAME: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in (*CHILDREN, LEDGER, BACKUP, POD, VOLUME_CLAIM, EVENT)
}


def of(manifest: dict[str, object]) -> Kind:
    """Return the kind of a manifest. Raises KeyError with the manifest's own words when the operator knows none."""
    key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if key not in BY_NAME:
        raise KeyError(f"the operator has no entry for {key[1]} in {key[0]}: add it to kinds.py and to the Role")
    return BY_NAME[key]
