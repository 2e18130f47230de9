"""The few things that a scenario run asks of Kubernetes: pods, experiments of Chaos Mesh, its own report."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from chronicle_chaos.injectors.injection import InjectionError
from chronicle_chaos.injectors.kubernetes import experiments
from chronicle_chaos.injectors.kubernetes.experiments import Experiment, Wanted
from chronicle_contract.experiments import GROUP, MADE, OTHERS, VERSION
from chronicle_kube.api import Kube
from chronicle_kube.errors import KubeError
from chronicle_kube.kind import ACCESS_REVIEW, CONFIG_MAP, POD, Kind

Result = TypeVar("Result")

MANAGER = "chronicle-run"
"""The field manager of a run."""


class KubernetesError(InjectionError):
    """The API server refused or did not answer; `code` is its HTTP status, None without an answer."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def passing(self) -> bool:
        """Whether asking again may help."""
        return self.code is None or self.code == 429 or self.code >= 500


@dataclass(frozen=True, slots=True)
class PodState:
    """What matters of a pod."""

    name: str
    uid: str
    ready: bool
    running: bool
    started: str
    node: str
    labels: Mapping[str, str]


class Kubernetes(Protocol):
    """One namespace of a cluster. Every method raises KubernetesError and nothing else."""

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        """The pods with all of these labels that are not on their way out, by name."""

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Experiment]:
        """The experiments of a kind with all of these labels. KubernetesError 404: Chaos Mesh is not installed."""

    async def may(self, verb: str, kind: str) -> bool:
        """Whether this run may do that to experiments of the kind; True where nobody can say."""

    async def create(self, wanted: Wanted) -> Experiment:
        """Create an experiment and return it as it is stored. KubernetesError also where a field of it was dropped."""

    async def experiment(self, kind: str, name: str) -> Experiment | None:
        """An experiment, None when it is gone."""

    async def delete(self, kind: str, name: str) -> None:
        """Ask for an experiment's end; no error when it is gone."""

    async def write_report(self, name: str, data: Mapping[str, str], files: Mapping[str, str]) -> None:
        """Merge into a ConfigMap that is there: `data` is text, `files` is base64."""


async def pod_named(kubernetes: Kubernetes, labels: Mapping[str, str], name: str) -> PodState | None:
    """The pod of that name as it is now, None when it is gone. Raises KubernetesError."""
    return next((it for it in await kubernetes.pods(labels) if it.name == name), None)


class KubeNamespace:
    """`Kubernetes` in one namespace of the cluster that `kube` speaks to."""

    def __init__(self, namespace: str, kube: Kube) -> None:
        self._namespace = namespace
        self._kube = kube

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        """See `Kubernetes.pods`."""
        pods = await _asked(self._kube.list(POD, self._namespace, labels))
        staying = (pod_state(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp"))
        return sorted(staying, key=lambda pod: pod.name)

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Experiment]:
        """See `Kubernetes.experiments`."""
        return [_read(item, kind) for item in await _asked(self._kube.list(_kind(kind), self._namespace, labels))]

    async def may(self, verb: str, kind: str) -> bool:
        """See `Kubernetes.may`. Every account may ask this about itself."""
        attributes = {"namespace": self._namespace, "verb": verb, "group": GROUP, "resource": MADE[kind]}
        review = {
            "apiVersion": ACCESS_REVIEW.api_version,
            "kind": ACCESS_REVIEW.kind,
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = await self._kube.create(ACCESS_REVIEW, review)
        except KubeError:
            return True
        return bool((answer.get("status") or {"allowed": True}).get("allowed"))

    async def create(self, wanted: Wanted) -> Experiment:
        """See `Kubernetes.create`."""
        manifest = wanted.manifest()
        placed = {**manifest, "metadata": {**manifest["metadata"], "namespace": self._namespace}}
        stored = await _asked(self._kube.create(_kind(wanted.kind), placed))
        lost = experiments.dropped(manifest["spec"], stored.get("spec"))
        if lost:
            raise KubernetesError(f"this Chaos Mesh does not know {', '.join(lost)}; is it 2.4 or later?", 422)
        return _read(stored, wanted.kind)

    async def experiment(self, kind: str, name: str) -> Experiment | None:
        """See `Kubernetes.experiment`."""
        stored = await _asked(self._kube.get(_kind(kind), self._namespace, name))
        return None if stored is None else _read(stored, kind)

    async def delete(self, kind: str, name: str) -> None:
        """See `Kubernetes.delete`."""
        await _asked(self._kube.delete(_kind(kind), self._namespace, name))

    async def write_report(self, name: str, data: Mapping[str, str], files: Mapping[str, str]) -> None:
        """See `Kubernetes.write_report`."""
        changes = {"data": dict(data), "binaryData": dict(files)}
        await _asked(self._kube.merge(CONFIG_MAP, self._namespace, name, changes))


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """What matters of a pod."""
    meta, status = pod["metadata"], pod.get("status") or {}
    conditions: Sequence[Any] = status.get("conditions") or ()
    containers: Sequence[Any] = status.get("containerStatuses") or ()
    states = (container.get("state") or {} for container in containers)
    running = [state["running"] for state in states if state.get("running") is not None]
    return PodState(
        name=meta["name"],
        uid=meta["uid"],
        ready=any((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions),
        running=bool(running),
        started=str(running[0].get("startedAt")) if running else "",
        node=(pod.get("spec") or {}).get("nodeName") or "",
        labels=meta.get("labels") or {},
    )


def _read(stored: Mapping[str, Any], kind: str) -> Experiment:
    try:
        return experiments.read(stored, kind)
    except msgspec.ValidationError as error:
        raise KubernetesError(f"{kind} is of a form that is not understood: {error}", 422) from error


def _kind(name: str) -> Kind:
    return Kind(GROUP, VERSION, name, (MADE | OTHERS)[name])


async def _asked(request: Awaitable[Result]) -> Result:
    try:
        return await request
    except KubeError as error:
        raise KubernetesError(error.detail, error.code) from error
