"""Experiments that no run has any more: deleted, and named with the command that releases them where they stay."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from chronicle_operator import errors
from chronicle_operator.kinds import Kind
from chronicle_operator.kube import Kube, Manifest
from chronicle_operator.pods import name
from chronicle_operator.scenarios import job as jobs

log = logging.getLogger(__name__)

EXPERIMENTS = (
    Kind("chaos-mesh.org", "v1alpha1", "PodChaos", "podchaos"),
    Kind("chaos-mesh.org", "v1alpha1", "NetworkChaos", "networkchaos"),
)
PATIENCE_SECONDS = 60.0
"""How long Chaos Mesh may take to let go of an experiment, from the end of the run's Job."""


async def sweep(kube: Kube, namespace: str, ledger: str) -> list[Manifest]:
    """Ask for the end of every experiment on the ledger and return those that were there: none means that it is done.

    Only to be called when no run is going. Raises `errors.KubeError`.
    """
    found: list[Manifest] = []
    for kind in EXPERIMENTS:
        try:
            left = await kube.list(kind, namespace, {jobs.LEDGER: ledger})
        except errors.NotFound:
            continue  # Chaos Mesh is not installed
        for it in left:
            found.append({**it, "kind": kind.kind})
            if not it["metadata"].get("deletionTimestamp"):
                log.warning("%s/%s: sweeping %s %s", namespace, ledger, kind.kind, name(it))
                await kube.delete(kind, namespace, name(it))
    return found


def release_command(experiment: Mapping[str, Any]) -> str:
    """Return what a person runs when Chaos Mesh does not let go (as the run itself says it; a test holds the two)."""
    meta = experiment["metadata"]
    return (
        f"kubectl -n {meta['namespace']} annotate {str(experiment['kind']).lower()} {meta['name']}"
        " chaos-mesh.chaos-mesh.org/cleanFinalizer=forced"
    )
