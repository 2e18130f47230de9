"""What goes over the wire to the API server, and what is made of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chronicle_chaos.injectors.kubernetes import experiments
from chronicle_chaos.injectors.kubernetes.client import KubeNamespace, KubernetesError
from chronicle_chaos.injectors.kubernetes.experiments import Metadata, Selector
from support.answering_api import answering

Object = dict[str, Any]
WANTED = experiments.partition(Metadata("cut", "ns", {"run": "r"}), Selector(["ns"]), Selector(["ns"]), 60)


@asynccontextmanager
async def kubernetes(answer: Callable[[str, str, Object], tuple[int, Object]]) -> AsyncIterator[KubeNamespace]:
    """The adapter on an API server that answers method, path and body."""
    async with answering(lambda request: answer(request.method, request.path, request.body or {})) as kube:
        yield KubeNamespace("ns", kube)


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_right_is_asked_for_by_verb_and_kind(allowed: bool) -> None:
    asked: list[Object] = []

    def answer(method: str, path: str, body: Object) -> tuple[int, Object]:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked.append(body["spec"]["resourceAttributes"])
        return 201, {**body, "status": {"allowed": allowed}}

    async with kubernetes(answer) as subject:
        assert await subject.may("create", "NetworkChaos") is allowed
    assert asked == [{"namespace": "ns", "verb": "create", "group": "chaos-mesh.org", "resource": "networkchaos"}]


async def test_a_right_that_nobody_can_tell_of_is_left_to_the_request_itself() -> None:
    async with kubernetes(lambda *_: (403, {"kind": "Status", "code": 403, "message": "no"})) as subject:
        assert await subject.may("create", "PodChaos")


async def test_an_experiment_is_created_as_chaos_mesh_writes_it_and_read_back() -> None:
    def answer(method: str, path: str, body: Object) -> tuple[int, Object]:
        assert (method, path) == ("POST", "/apis/chaos-mesh.org/v1alpha1/namespaces/ns/networkchaos")
        assert body["spec"]["action"] == "partition"
        return 201, {**body, "metadata": {**body["metadata"], "uid": "u"}, "status": {"experiment": {}}}

    async with kubernetes(answer) as subject:
        made = await subject.create(WANTED)
    assert made.reference == {"kind": "NetworkChaos", "name": "cut", "uid": "u"}


async def test_a_field_that_was_dropped_is_an_error_that_names_it() -> None:
    def answer(method: str, path: str, body: Object) -> tuple[int, Object]:
        del method, path
        return 201, {**body, "spec": {key: value for key, value in body["spec"].items() if key != "direction"}}

    async with kubernetes(answer) as subject:
        with pytest.raises(KubernetesError, match=r"does not know spec\.direction; is it 2\.4 or later"):
            await subject.create(WANTED)


async def test_items_of_a_list_are_given_their_kind_and_what_is_gone_is_none() -> None:
    def answer(method: str, path: str, body: Object) -> tuple[int, Object]:
        del method, body
        if path.endswith("/gone"):
            return 404, {"kind": "Status", "code": 404, "message": "not found"}
        return 200, {"items": [{"metadata": {"name": "one", "namespace": "ns"}}], "metadata": {}}

    async with kubernetes(answer) as subject:
        (found,) = await subject.experiments("PodChaos", {"run": "r"})
        assert found.release_command().startswith("kubectl -n ns annotate podchaos one")
        assert await subject.experiment("PodChaos", "gone") is None


@pytest.mark.parametrize(("code", "passing"), [(503, True), (429, True), (403, False), (404, False)])
async def test_an_error_says_whether_asking_again_may_help(code: int, passing: bool) -> None:
    async with kubernetes(lambda *_: (code, {"kind": "Status", "code": code, "message": "no"})) as subject:
        with pytest.raises(KubernetesError) as raised:
            await subject.pods({})
    assert (raised.value.code, raised.value.passing) == (code, passing)
