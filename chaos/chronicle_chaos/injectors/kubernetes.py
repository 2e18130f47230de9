"""The few things that a scenario run asks of Kubernetes: pods, experiments of Chaos Mesh, its own report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import httpx2
import msgspec
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

from chronicle_chaos.injectors import experiments
from chronicle_chaos.injectors.experiments import Experiment, Wanted

GROUP, VERSION = "chaos-mesh.org", "v1alpha1"
PLURALS = {"PodChaos": "podchaos", "NetworkChaos": "networkchaos"}
TIMEOUT_SECONDS = 10.0


class KubernetesError(Exception):
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


class LightkubeKubernetes:
    """`Kubernetes` with the credentials of the pod, or of KUBECONFIG outside of a cluster."""

    def __init__(self, namespace: str, client: AsyncClient | None = None) -> None:
        self._namespace = namespace
        self._client: Any = client or AsyncClient(timeout=httpx2.Timeout(TIMEOUT_SECONDS), lazy=True)

    async def pods(self, labels: Mapping[str, str]) -> list[PodState]:
        """See `Kubernetes.pods`."""
        found = [it async for it in _sorted(self._client.list(Pod, namespace=self._namespace, labels=dict(labels)))]
        return sorted((pod_state(it) for it in found if not it.metadata.deletionTimestamp), key=lambda it: it.name)

    async def experiments(self, kind: str, labels: Mapping[str, str]) -> list[Experiment]:
        """See `Kubernetes.experiments`."""
        listed = self._client.list(_resource(kind), namespace=self._namespace, labels=dict(labels))
        return [_read(it, kind) async for it in _sorted(listed)]

    async def may(self, verb: str, kind: str) -> bool:
        """See `Kubernetes.may`. Every account may ask this about itself."""
        asked = ResourceAttributes(namespace=self._namespace, verb=verb, group=GROUP, resource=PLURALS[kind])
        review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
        try:
            answer = await _sorted_call(self._client.create(review))
        except KubernetesError:
            return True
        return bool(answer.status is None or answer.status.allowed)

    async def create(self, wanted: Wanted) -> Experiment:
        """See `Kubernetes.create`."""
        manifest = wanted.manifest()
        request = self._client.create(_resource(wanted.kind)(manifest), namespace=self._namespace)
        stored = dict(await _sorted_call(request))
        lost = experiments.dropped(manifest["spec"], stored.get("spec"))
        if lost:
            raise KubernetesError(f"this Chaos Mesh does not know {', '.join(lost)}; is it 2.4 or later?", 422)
        return _read(stored, wanted.kind)

    async def experiment(self, kind: str, name: str) -> Experiment | None:
        """See `Kubernetes.experiment`."""
        try:
            found = await _sorted_call(self._client.get(_resource(kind), name, namespace=self._namespace))
            return _read(found, kind)
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


def _read(stored: Mapping[str, Any], kind: str) -> Experiment:
    try:
        return experiments.read(stored, kind)
    except msgspec.ValidationError as error:
        raise KubernetesError(f"{kind} is of a form that is not understood: {error}", 422) from error


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
