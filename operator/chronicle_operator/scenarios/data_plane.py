"""What a run judges, as one hash: another one means that what was proven was proven of something else. Pure."""

from __future__ import annotations

from dataclasses import replace

from chronicle_contract.labels import COMPONENT
from chronicle_operator.resources import LedgerContext, Manifest, build, names

API = "api"


def data_plane(ledger: LedgerContext) -> str:
    """Return a hash of the workloads' images and settings, and of the number of database nodes and NATS servers.

    Left out is what comes and goes without changing what is proven: API replicas (people and autoscalers scale them),
    what becomes of volumes after a deletion, and hashes of Secrets (certificates and passwords are renewed).
    """
    manifests = build(replace(ledger, secret_hashes={}))
    return names.digest([_judged(it) for it in manifests if it["kind"] in ("StatefulSet", "Deployment")])


def _judged(workload: Manifest) -> Manifest:
    ignored = {"persistentVolumeClaimRetentionPolicy"}
    if workload["metadata"]["labels"][COMPONENT] == API:
        ignored.add("replicas")
    return {key: value for key, value in workload["spec"].items() if key not in ignored}
