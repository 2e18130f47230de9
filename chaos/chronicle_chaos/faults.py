"""The faults that scenarios ask for, as data. Injectors turn them into signals, Docker calls or Chaos Mesh objects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Component(StrEnum):
    """The parts of a running ledger that a fault can be aimed at."""

    COCKROACH = "cockroach"
    NATS = "nats"
    API = "api"


@dataclass(frozen=True, slots=True)
class NodeKill:
    """SIGKILL one node of `component` (for CockroachDB the one with most leases) and keep it away until healed."""

    component: Component


@dataclass(frozen=True, slots=True)
class Outage:
    """Every instance of `component` stops, and stays away until healed."""

    component: Component


@dataclass(frozen=True, slots=True)
class Partition:
    """No packet passes between the two regions, in either direction, on new and on live connections."""

    majority: str = "region-a"
    minority: str = "region-b"


@dataclass(frozen=True, slots=True)
class Crashes:
    """SIGKILL one instance of `component` at a time, at random moments, `times` times; each comes back by itself."""

    component: Component
    times: int


Fault = NodeKill | Outage | Partition | Crashes


def needs_quorum(fault: Fault | None) -> bool:
    """Whether only a database of several nodes can have this fault. None stands for no fault: any database will do."""
    return isinstance(fault, Partition) or (isinstance(fault, NodeKill) and fault.component is Component.COCKROACH)
