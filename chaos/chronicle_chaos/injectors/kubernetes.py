"""The few things that a scenario run asks of Kubernetes: pods, experiments of Chaos Mesh, its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

GROUP, VERSION = "chaos-mesh.org", "v1alpha1"
PLURALS = {"PodChaos": "podchaos", "NetworkChaos": "networkchaos"}
TIMEOUT_SECONDS = 10.0

Manifest = dict[str, Any]


class KubernetesError(Exception):
    """The API server refused or did not answer; `code` is its HTTP status, None without an answer."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


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

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Manifest]:
        """The experiments of a kind with all of these labels. KubernetesError 404: Chaos Mesh is not installed."""

    async def create(self, experiment: Manifest) -> Manifest:
        """Create an experiment and return it as it is stored."""

    async def experiment(self, kind: str, name: str) -> Manifest | None:
        """An experiment, None when it is gone."""

    async def delete(self, kind: str, name: str) -> None:
        """Ask for an experiment's end; no error when it is gone."""

    async def write_report(self, name: str, data: Mapping[str, str], files: Mapping[str, str]) -> None:
        """Merge into a ConfigMap that is there: `data` is text, `files` is base64."""


class LightkubeKubernetes:
    """`Kubernetes` with the credentials of the pod, or of KUBECONFIG outside of a cluster."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._client: Any = AsyncClient(timeout=httpx2.Timeout(TIMEOUT_SECONDS), lazy=True)

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        """See `Kubernetes.pods`."""
        found = [it async for it in _sorted(self._client.list(Pod, namespace=self._namespace, labels=dict(labels)))]
        return sorted((pod_state(it) for it in found if not it.metadata.deletionTimestamp), key=lambda it: it.name)

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Manifest]:
        """See `Kubernetes.experiments`."""
        listed = self._client.list(_resource(kind), namespace=self._namespace, labels=dict(labels))
        return [{**it, "kind": kind} async for it in _sorted(listed)]  # items of a list do not carry it

    async def create(self, experiment: Manifest) -> Manifest:
        """See `Kubernetes.create`."""
        kind = _resource(experiment["kind"])
        return dict(await _sorted_call(self._client.create(kind(experiment), namespace=self._namespace)))

    async def experiment(self, kind: str, name: str) -> Manifest | None:
        """See `Kubernetes.experiment`."""
        try:
            return dict(await _sorted_call(self._client.get(_resource(kind), name, namespace=self._namespace)))
        except KubernetesError as error:
            if error.code == 404:
                return None
            raise

    async def delete(self, kind: str, name: str) -> None:
        """See `Kubernetes.delete`."""
        try:
            await _sorted_call(self._client.delete(_resource(kind), name, namespace=self._namespace))
        except KubernetesError as error:
            if error.code != 404:
                raise

    async def write_report(self, name: str, data: Mapping[str, str], files: Mapping[str, str]) -> None:
        """See `Kubernetes.write_report`."""
        body = {"data": dict(data), "binaryData": dict(files)}
        request = self._client.patch(ConfigMap, name, body, namespace=self._namespace, patch_type=PatchType.MERGE)
        await _sorted_call(request)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def pod_state(pod: Any) -> PodState:
    """What matters of a pod as lightkube hands it out."""
    status = pod.status
    conditions: Sequence[Any] = (status.conditions if status else None) or ()
    containers: Sequence[Any] = (status.containerStatuses if status else None) or ()
    running = [it.state.running for it in containers if it.state and it.state.running]
    return PodState(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        ready=any(it.type == "Ready" and it.status == "True" for it in conditions),
        running=bool(running),
        started=str(running[0].startedAt) if running else "",
        node=(pod.spec.nodeName if pod.spec else None) or "",
        labels=pod.metadata.labels or {},
    )


@cache  # lightkube refuses a second class for the same kind
def _resource(kind: str) -> Any:
    return create_namespaced_resource(GROUP, VERSION, kind, PLURALS[kind])


async def _sorted_call(request: Any) -> Any:
    try:
        return await request
    except (ApiError, httpx2.HTTPError, OSError) as error:
        raise _error(error) from error


async def _sorted(items: Any) -> Any:
    try:
        async for it in items:
            yield it
    except (ApiError, httpx2.HTTPError, OSError) as error:
        raise _error(error) from error


def _error(error: Exception) -> KubernetesError:
    if isinstance(error, ApiError):
        return KubernetesError(error.status.message or str(error), error.status.code)
    response = getattr(error, "response", None)
    code = getattr(response, "status_code", None)
    return KubernetesError(f"{type(error).__name__}: {error}".rstrip(": "), code)
