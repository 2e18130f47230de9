"""What goes over the wire to the API server, and what its answers become."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from chronicle_kube import client, errors
from chronicle_kube.client import KubernetesClient
from chronicle_kube.kind import POD, Kind
from chronicle_operator.kube import kinds
from support.answering_api import Answer, Request, answering, status
from support.kube_contract import RULES, Rule
from support.memory_kube import MemoryKube


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_the_double_in_memory_keeps_what_callers_rely_on(rule: Rule) -> None:
    await rule(MemoryKube(), "ns")


class Seen:
    """Answers everything alike, and keeps what was sent."""

    def __init__(self, code: int = 200, document: Any = None) -> None:
        self.requests: list[Request] = []
        self._answer = code, {} if document is None else document

    def __call__(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        return self._answer


async def test_a_deletion_demands_the_very_object_in_the_same_request() -> None:
    seen = Seen()
    async with answering(seen) as kube:
        await kube.delete(kinds.POD, "ns", "p-0", uid="u1")
    (request,) = seen.requests
    assert (request.method, request.path) == ("DELETE", "/api/v1/namespaces/ns/pods/p-0")
    assert (request.body["preconditions"], request.body["propagationPolicy"]) == ({"uid": "u1"}, "Background")


@pytest.mark.parametrize("code", [404, 409])
async def test_an_object_that_is_gone_or_another_one_by_now_needs_no_deletion(code: int) -> None:
    async with answering(lambda _: status(code, "the UID in the precondition does not match")) as kube:
        await kube.delete(kinds.POD, "ns", "p-0", uid="u1")


async def test_a_deletion_of_whatever_has_the_name_reports_a_conflict() -> None:
    async with answering(lambda _: status(409, "busy")) as kube:
        with pytest.raises(errors.Conflict):
            await kube.delete(kinds.POD, "ns", "p-0")


async def test_a_status_is_written_over_the_version_that_was_read_and_no_other() -> None:
    """By a replacement of the version: only then the API server answers 409 (seen on 1.34; a `test` gives 422)."""
    seen = Seen(*status(409, "the object has been modified"))
    async with answering(seen) as kube:
        with pytest.raises(errors.Conflict):
            await kube.patch_status(kinds.LEDGER, "ns", "main", {"observedGeneration": 3}, "41")
    (request,) = seen.requests
    assert request.path.endswith("/namespaces/ns/chronicleledgers/main/status")
    assert request.headers["Content-Type"] == "application/json-patch+json"
    assert request.query == {"fieldManager": "chronicle-test-status"}
    assert request.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "add", "path": "/status", "value": {"observedGeneration": 3}},
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status(500, 'failed calling webhook "guard"'), errors.WebhookFailed),
        (status(500, "etcdserver: no leader"), errors.ServerError),
        ((502, "<html>Bad Gateway</html>"), errors.Unreachable),
        ((503, ""), errors.Unreachable),
        ((200, "<html>Please log in</html>"), errors.Unreachable),
        ((200, "[]"), errors.Unreachable),
        (status(403, "no right"), errors.Forbidden),
        (status(422, "field is immutable", details={"causes": [{"field": "metadata.uid"}]}), errors.Conflict),
        (status(422, "field is immutable", details={"causes": [{"field": "spec.selector"}]}), errors.Invalid),
    ],
    ids=[
        *("webhook", "server", "proxy", "proxy without a word", "page", "list", "forbidden"),
        *("another object of the name", "immutable field"),
    ],
)
async def test_an_answer_becomes_the_error_it_stands_for(
    answer: tuple[int, Any], expected: type[errors.KubeError]
) -> None:
    async with answering(lambda _: answer) as kube:
        with pytest.raises(errors.KubeError) as found:
            await kube.get(kinds.POD, "ns", "p-0")
    assert type(found.value) is expected


async def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    async with answering(lambda _: status(429, "too many", details={"retryAfterSeconds": 7})) as kube:
        with pytest.raises(errors.Throttled) as found:
            await kube.list(kinds.POD, "ns")
    assert (found.value.retry_after, found.value.code, found.value.detail) == (7, 429, "too many")


async def test_a_redirect_is_not_followed() -> None:
    """Whoever answers in the API server's place must not learn what goes elsewhere, nor send the client there."""
    seen = Seen(307)
    async with answering(seen, {"Location": "/elsewhere"}) as kube:
        with pytest.raises(errors.Unreachable, match="redirect"):
            await kube.get(kinds.POD, "ns", "p-0")
    assert [request.path for request in seen.requests] == ["/api/v1/namespaces/ns/pods/p-0"]


async def test_no_answer_is_an_error_without_a_code() -> None:
    kube = KubernetesClient(Configuration(host="http://127.0.0.1:1"), "m")
    with pytest.raises(errors.Unreachable) as found:
        await kube.get(kinds.POD, "ns", "p-0")
    assert found.value.code is None
    await kube.close()


async def test_an_api_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client._PLAIN, "_request_timeout", client.timeout(0.05))

    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client goes
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        kube = KubernetesClient(Configuration(host=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), "m")
        with pytest.raises(errors.Unreachable, match="Timeout"):
            await kube.get(kinds.POD, "ns", "p-0")
        await kube.close()
        await ended.wait()


async def test_each_request_is_counted_with_its_outcome() -> None:
    counted: list[tuple[str, Kind, str]] = []
    answers: list[Answer] = [lambda _: (200, {}), lambda _: status(403, "no right")]
    async with answering(lambda request: answers.pop(0)(request)) as kube:
        kube._count = lambda *call: counted.append(call)
        await kube.get(POD, "ns", "p-0")
        with pytest.raises(errors.Forbidden):
            await kube.get(POD, "ns", "p-0")
    assert counted == [("get", POD, "ok"), ("get", POD, "Forbidden")]


@pytest.mark.parametrize("uid", [None, "u1"])
async def test_an_apply_is_by_force_over_the_very_object_that_was_seen_and_over_no_other(uid: str | None) -> None:
    seen = Seen()
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"}}
    async with answering(seen) as kube:
        await kube.apply(kinds.SECRET, manifest, uid=uid)
    (request,) = seen.requests
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/ns/secrets/s")
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.query["fieldManager"] == "chronicle-test"
    assert (request.query.get("force") == "true") is (uid is not None)
    assert request.body["metadata"].get("uid") == uid
    assert "uid" not in manifest["metadata"]


async def test_a_list_asks_by_labels_and_fields_and_its_items_are_given_their_kind() -> None:
    seen = Seen(200, {"items": [{"metadata": {"name": "p-0"}}]})
    async with answering(seen) as kube:
        (item,) = await kube.list(kinds.EVENT, None, {"a": "1", "b": "2"}, {"type": "Warning"})
    (request,) = seen.requests
    assert request.path == "/apis/events.k8s.io/v1/events"
    assert request.query == {"labelSelector": "a=1,b=2", "fieldSelector": "type=Warning"}
    assert (item["apiVersion"], item["kind"]) == ("events.k8s.io/v1", "Event")


async def test_a_name_stays_one_part_of_the_path() -> None:
    seen = Seen(*status(404, "not found"))
    async with answering(seen) as kube:
        assert await kube.get(kinds.POD, "ns", "../secrets/s?x=1") is None
    (request,) = seen.requests
    assert (request.path, request.query) == ("/api/v1/namespaces/ns/pods/../secrets/s?x=1", {})


def test_the_adapter_loads_none_of_the_generated_modules_of_the_client() -> None:
    """There are almost two thousand of them, and the operator has 120 MiB."""
    code = (
        "import sys, chronicle_kube.client\n"
        "loaded = [name for name in sys.modules if name.startswith('kubernetes.')]\n"
        "print(len(loaded), *(name for name in loaded if '.models.' in name or '.api.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    number, *generated = done.stdout.split()
    assert generated == []
    assert int(number) < 100
