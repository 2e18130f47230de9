"""An operation reads what it declares before its handler runs, and refuses the rest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from chronicle_ledger.api import app, holds
from chronicle_ledger.api.schemas import CaptureRequest
from chronicle_ledger.web.call import Call
from chronicle_ledger.web.problems import Problem

HOLD = UUID("0b7f5d0e-6f0b-4b43-9a0a-7d6f3c1c2a10")


def call(path_id: str = str(HOLD), query: bytes = b"", body: bytes = b"") -> Call[Any]:
    """A request for a capture, as the listener hands it on."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json")] if body else []
    scope = {"path_params": {"hold_id": path_id}, "query_string": query, "headers": headers}
    return Call(scope, receive)


async def test_a_call_has_the_id_the_query_and_the_body_that_its_operation_declares() -> None:
    request = call(str(HOLD).upper(), b"dry_run=true", b'{"amount":5}')
    await holds.capture_hold.read(request)
    assert request.id == HOLD
    assert request.query.flag("dry_run")
    assert request.body == CaptureRequest(amount=5)


async def test_one_operation_has_one_path_however_the_caller_spells_the_id() -> None:
    request = call(str(HOLD).upper())
    await holds.capture_hold.read(request)
    assert request.canonical(holds.capture_hold.path) == f"/v1/holds/{HOLD}/capture"


@pytest.mark.parametrize(
    ("request_", "field"),
    [(call("0"), "hold_id"), (call(query=b"dryrun=true"), "dryrun"), (call(body=b'{"amout":5}'), "amout")],
    ids=["path", "query", "body"],
)
async def test_a_part_that_is_not_as_declared_is_refused_by_its_name(request_: Call[Any], field: str) -> None:
    with pytest.raises(Problem) as refused:
        await holds.capture_hold.read(request_)
    assert (refused.value.code, refused.value.figures["field"]) == ("validation_failed", field)


@pytest.mark.parametrize("operation", app.operations(), ids=lambda operation: operation.id)
def test_a_path_has_the_one_id_that_its_operation_declares(operation: Any) -> None:
    declared = [parameter.name for parameter in operation.parameters if parameter.place == "path"]
    assert [f"{{{name}}}" in operation.path for name in declared] == [True] * operation.path.count("{")
    assert len(declared) <= 1
