"""What goes over the wire to the API server, and what its answers become."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest
from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

from chronicle_operator import errors, kinds
from chronicle_operator.kube import LightkubeKube

Answer = Callable[[httpx2.Request], httpx2.Response]


def kube(answer: Answer) -> LightkubeKube:
    config = KubeConfig.from_one(
        cluster=Cluster(server="http://kube.invalid"), user=User(token="t"), context_name="c"
    ).get()
    return LightkubeKube(AsyncClient(config, transport=httpx2.MockTransport(answer)))


def status(code: int, message: str) -> httpx2.Response:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
    return httpx2.Response(code, json=body)


async def test_a_deletion_demands_the_very_object_in_the_same_request() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    await kube(answer).delete(kinds.POD, "ns", "p-0", uid="u1")
    (request,) = seen
    assert (request.method, request.url.path) == ("DELETE", "/api/v1/namespaces/ns/pods/p-0")
    options = json.loads(request.content)
    assert (options["preconditions"], options["propagationPolicy"]) == ({"uid": "u1"}, "Background")


@pytest.mark.parametrize("code", [404, 409])
async def test_an_object_that_is_gone_or_another_one_by_now_needs_no_deletion(code: int) -> None:
    await kube(lambda _: status(code, "the UID in the precondition does not match")).delete(
        kinds.POD, "ns", "p-0", uid="u1"
    )


async def test_a_deletion_of_whatever_has_the_name_reports_a_conflict() -> None:
    with pytest.raises(errors.Conflict):
        await kube(lambda _: status(409, "busy")).delete(kinds.POD, "ns", "p-0")


async def test_a_status_is_written_over_the_version_that_was_read_and_no_other() -> None:
    """By a replacement of the version: only then the API server answers 409 (seen on 1.34; a `test` gives 422)."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return status(409, "the object has been modified")

    with pytest.raises(errors.Conflict):
        await kube(answer).patch_status(kinds.LEDGER, "ns", "main", {"observedGeneration": 3}, "41")
    (request,) = seen
    assert request.url.path.endswith("/namespaces/ns/chronicleledgers/main/status")
    assert json.loads(request.content) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "add", "path": "/status", "value": {"observedGeneration": 3}},
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(500, 'failed calling webhook "guard"'), errors.WebhookFailed),
        (status(500, "etcdserver: no leader"), errors.ServerError),
        (httpx2.Response(502, text="<html>Bad Gateway</html>"), errors.Unreachable),
        (httpx2.Response(503), errors.Unreachable),
        (status(403, "no right"), errors.Forbidden),
    ],
    ids=["webhook", "server", "proxy", "proxy without a word", "forbidden"],
)
async def test_an_answer_becomes_the_error_it_stands_for(
    answer: httpx2.Response, expected: type[errors.KubeError]
) -> None:
    with pytest.raises(errors.KubeError) as found:
        await kube(lambda _: answer).get(kinds.POD, "ns", "p-0")
    assert type(found.value) is expected
