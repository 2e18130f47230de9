"""A ledger's pods by their labels, and what a target in a cluster says of where they are.

They are selected by the ledger's uid, which the operator puts on the pods that it makes. A name is no proof: another
chart may well be released under the ledger's name, with a component called `api`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Process
from chronicle_chaos.injectors.kubernetes.client import PodState
from chronicle_chaos.target import Target
from chronicle_contract.labels import COMPONENT, UID

COMPONENTS = {Component.COCKROACH: "cockroachdb", Component.NATS: "nats", Component.API: "api"}
SPEAKING = ("api", "nats", "projector", "relay", "scenarios")
"""Components whose pods speak with NATS, or look whether they could."""


@dataclass(frozen=True, slots=True)
class Place:
    """One ledger of one namespace."""

    target: Target

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.target.details["namespace"])

    @property
    def ledger(self) -> str:
        """What it is called."""
        return str(self.target.details["ledger"])

    @property
    def uid(self) -> str:
        """The uid of the ledger."""
        return str(self.target.details["owner"]["uid"])

    @property
    def nats(self) -> list[str]:
        """Its NATS servers, as host:port."""
        return [str(it) for it in self.target.details.get("nats", ())]

    @property
    def sides(self) -> Mapping[str, Sequence[str]]:
        """The regions on each side of a partition; empty where there is no minority."""
        sides: Mapping[str, Sequence[str]] = self.target.details.get("sides") or {}
        return sides

    def labels(self, component: Component | None = None) -> dict[str, str]:
        """What selects its pods, of one component or all."""
        chosen = {UID: self.uid}
        return chosen | ({COMPONENT: COMPONENTS[component]} if component else {})


def process_of(pod: PodState) -> Process:
    """Return what a pod-kill replaces: a container that was restarted in a pod is no other one."""
    return Process(pod.name, f"pod uid {pod.uid}", pod.ready)
