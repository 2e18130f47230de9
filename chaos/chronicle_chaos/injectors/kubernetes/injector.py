"""Faults on a ledger in Kubernetes, by Chaos Mesh."""

from __future__ import annotations

from chronicle_chaos.injectors.by_hands import ClusterInjector
from chronicle_chaos.injectors.kubernetes.client import Kubernetes
from chronicle_chaos.injectors.kubernetes.hands import ChaosMeshHands
from chronicle_chaos.target import Target


class ChaosMeshInjector(ClusterInjector):
    """Injects into the ledger `target.details["ledger"]` of one namespace; `run` labels everything it makes."""

    def __init__(self, target: Target, kubernetes: Kubernetes, run: str) -> None:
        super().__init__("ChaosMesh", "cluster", ChaosMeshHands(target, kubernetes, run))
