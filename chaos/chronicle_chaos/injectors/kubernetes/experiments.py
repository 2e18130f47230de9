"""Experiments of Chaos Mesh: how they are written, and what they say about themselves. Pure.

Facts relied on (Chaos Mesh 2.x, its API types and controllers): specs cannot be changed, so one object a fault;
`duration` ends a fault even when nobody is left to end it; with no pod selected both `AllInjected` and `AllRecovered`
turn true, so a record of at least one pod is wanted too; `direction` has to say `both`; pod-kill never ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chronicle_contract import experiments as contract

API_VERSION = f"{contract.GROUP}/{contract.VERSION}"
DEAD_MAN = 120
"""Seconds that a fault outlasts its window by, if the run that began it is no more."""

FILTERED = "where controllerManager.enableFilterNamespace is set, the namespace needs chaos-mesh.org/inject=enabled"
"""Why an experiment may hit no pod though its selector matches some."""


class In(msgspec.Struct, frozen=True):
    """A label that has one of these values."""

    key: str
    values: list[str]
    operator: str = "In"


class Selector(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Pods of these namespaces, by name or by labels."""

    namespaces: list[str]
    pods: dict[str, list[str]] = {}
    label_selectors: dict[str, str] = {}
    expression_selectors: list[In] = []


class Selected(msgspec.Struct, frozen=True):
    """Every pod of a selector."""

    selector: Selector
    mode: str = "all"


class PodKill(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="pod-kill"):
    """The spec of a PodChaos that kills at once, without grace."""

    selector: Selector
    mode: str = "all"
    grace_period: int = 0


class Cut(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="partition"):
    """The spec of a NetworkChaos that lets nothing pass between two groups of pods."""

    selector: Selector
    target: Selected
    duration: str
    mode: str = "all"
    direction: str = "both"


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What Kubernetes calls an object, and whose it is."""

    name: str
    namespace: str
    labels: dict[str, str] = {}
    owner_references: list[dict[str, str | bool]] = []
    uid: str = ""


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """An experiment to be created."""

    kind: str
    metadata: Metadata
    spec: PodKill | Cut
    api_version: str = API_VERSION

    def manifest(self) -> dict[str, Any]:
        """As the API server takes it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class Condition(msgspec.Struct, frozen=True):
    """One condition of an experiment."""

    type: str = ""
    status: str = ""


class Record(msgspec.Struct, frozen=True):
    """What became of one pod; `phase` is `Injected` while the fault is at work on it. `id`: namespace/pod/container."""

    phase: str = ""
    id: str = ""


class Records(msgspec.Struct, frozen=True, rename="camel"):
    """The pods of an experiment; none where its selector matched nothing."""

    container_records: list[Record] | None = None
    desired_phase: str = ""


class Status(msgspec.Struct, frozen=True):
    """What Chaos Mesh says; nothing while no controller has looked at the experiment."""

    conditions: list[Condition] | None = None
    experiment: Records | None = None


class Experiment(msgspec.Struct, frozen=True):
    """An experiment as it is stored."""

    kind: str
    metadata: Metadata
    status: Status = Status()
    spec: dict[str, Any] = {}

    @property
    def reference(self) -> dict[str, str]:
        """What a journal says of it."""
        return {"kind": self.kind, "name": self.metadata.name, "uid": self.metadata.uid}

    def injected(self) -> tuple[bool, str]:
        """Whether Chaos Mesh says that the fault is at work on at least one pod, and what it says."""
        found = {it.type: it.status for it in self.status.conditions or ()}
        records = (self.status.experiment or Records()).container_records or []
        hit = sum(it.phase == "Injected" for it in records)
        said = f"Selected={found.get('Selected')}, AllInjected={found.get('AllInjected')}, {hit} pods hit"
        if not found:
            said = "no word of Chaos Mesh: does its controller run?"
        elif not records:
            said += f" ({FILTERED})"
        return found.get("Selected") == "True" and found.get("AllInjected") == "True" and hit > 0, said

    def release_command(self) -> str:
        """What a person runs when Chaos Mesh does not let go of it."""
        return contract.release_command(self.kind, self.metadata.namespace, self.metadata.name)


def pod_kill(metadata: Metadata, pods: Sequence[str]) -> Wanted:
    """Kill these pods."""
    space = metadata.namespace
    return Wanted("PodChaos", metadata, PodKill(Selector([space], pods={space: list(pods)})))


def partition(metadata: Metadata, one: Selector, other: Selector, seconds: float) -> Wanted:
    """Cut the pods of one selector from those of the other, both ways; ends by itself after `seconds`."""
    return Wanted("NetworkChaos", metadata, Cut(one, Selected(other), f"{int(seconds)}s"))


def read(stored: Mapping[str, Any], kind: str) -> Experiment:
    """An experiment as the API server returns it; items of its lists lack their kind."""
    return msgspec.convert({**stored, "kind": kind}, Experiment)


def dropped(wanted: object, stored: object, path: str = "spec") -> list[str]:
    """The fields that the API server did not keep, since the installed Chaos Mesh does not know them."""
    if not isinstance(wanted, Mapping):
        return []
    known = stored if isinstance(stored, Mapping) else {}
    found: list[str] = []
    for name, value in wanted.items():
        if value and name not in known:  # what is empty or 0 may be left out on the way
            found.append(f"{path}.{name}")
        else:
            found += dropped(value, known.get(name), f"{path}.{name}")
    return found
