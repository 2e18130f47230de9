"""Experiments that no run has any more: deleted, and named with the command that releases them where they stay."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from chronicle_contract import experiments
from chronicle_contract.experiments import MADE
from chronicle_contract.labels import LEDGER, RUN
from chronicle_kube.api import Kube, Manifest
from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors
from chronicle_operator.observe.pods import name

log = logging.getLogger(__name__)

EXPERIMENTS = tuple(Kind(experiments.GROUP, experiments.VERSION, kind, plural) for kind, plural in MADE.items())
PATIENCE_SECONDS = 60.0
"""How long Chaos Mesh may take to let go of an experiment, from the end of the run's Job."""


async def sweep(kube: Kube, namespace: str, ledger: str) -> list[Manifest]:
    """Ask for the end of every experiment on the ledger and return those that were there: none means that it is done.

    Only to be called when no run is going. Raises `errors.KubeError`.
    """
    found: list[Manifest] = []
    for kind in EXPERIMENTS:
        try:
            left = await kube.list(kind, namespace, {LEDGER: ledger})
        except errors.NotFound:
            continue  # Chaos Mesh is not installed
        for it in left:
            if RUN not in (it["metadata"].get("labels") or {}):
                continue  # somebody else's, whatever it says of the ledger
            found.append({**it, "kind": kind.kind})
            if not it["metadata"].get("deletionTimestamp"):
                log.warning("%s/%s: sweeping %s %s", namespace, ledger, kind.kind, name(it))
                await kube.delete(kind, namespace, name(it), uid=it["metadata"].get("uid"))
    return found


def release_command(experiment: Mapping[str, Any]) -> str:
    """Return what a person runs when Chaos Mesh does not let go of a stored experiment."""
    meta = experiment["metadata"]
    return experiments.release_command(str(experiment["kind"]), str(meta["namespace"]), str(meta["name"]))
