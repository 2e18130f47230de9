"""The OpenAPI document, made of the operations: FastAPI lists them, msgspec gives the schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from fastapi.openapi.utils import get_openapi

from chronicle_ledger import __version__
from chronicle_ledger.api import answers, problems
from chronicle_ledger.api.operation import Operation
from chronicle_ledger.api.parameters import Parameter

TAGS = (
    {"name": "accounts", "description": "Accounts, their history and their balance at any moment."},
    {"name": "transactions", "description": "Postings. Each is written whole or not at all, and once."},
    {"name": "holds", "description": "Money set aside, to be captured or given back."},
    {"name": "events", "description": "The read model, the stream of transactions, and the proof that all agree."},
    {"name": "operation", "description": "Health and figures, for those who run the service."},
)
_REFERENCE = "#/components/schemas/{name}"


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document that `openapi.json` in the repository holds and /openapi.json answers."""
    from chronicle_ledger.api.app import DESCRIPTION, TITLE, framework, operations

    listed = operations()
    result = get_openapi(
        title=TITLE,
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=framework().routes,
        tags=list(TAGS),
    )
    types = [kind for operation in listed for kind in _types(operation)]
    references, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(types), answers.ProblemAnswer], ref_template=_REFERENCE
    )
    by_type = dict(zip([*dict.fromkeys(types), answers.ProblemAnswer], references, strict=True))
    schemas["ProblemAnswer"]["additionalProperties"] = True
    for operation in listed:
        described = _operation(operation, by_type)
        result["paths"][operation.path][operation.method.lower()].update(described)
    result["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "examples": {code: {"summary": code, "value": _example(code)} for code in sorted(problems.CATALOGUE)},
        "securitySchemes": {
            "key": {"type": "http", "scheme": "bearer", "description": "A key made by `chronicle keys new`."}
        },
    }
    return result


def _types(operation: Operation) -> Iterable[Any]:
    yield operation.answer
    if operation.body is not None:
        yield operation.body.type


def _example(code: str) -> dict[str, Any]:
    return problems.Problem(code, **problems.CATALOGUE[code].figures).document("6f1c2a0b9d8e4f7a")


def _operation(operation: Operation, references: Mapping[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "responses": _responses(operation, references),
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        content: dict[str, Any] = {"schema": references[operation.body.type]}
        if operation.example is not None:
            content["example"] = operation.example
        described["requestBody"] = {"required": not operation.body.optional, "content": {"application/json": content}}
    if operation.role is not None:
        described["security"] = [{}, {"key": []}]
        described["x-required-role"] = operation.role.name.lower()
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    return described if parameter.example is None else {**described, "example": parameter.example}


def _responses(operation: Operation, references: Mapping[Any, Any]) -> dict[str, Any]:
    schema = references[operation.answer]
    success: dict[str, Any] = {
        "description": "Done." if operation.status == 200 else "Posted.",
        "content": {operation.media_type: {"schema": schema}},
    }
    headers = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in operation.answer_headers.items()
    }
    if headers:
        success["headers"] = headers
    if operation.links:
        success["links"] = {name: dict(link) for name, link in operation.links.items()}
    responses = {str(operation.status): success}
    if operation.status == 201:
        responses["200"] = {
            "description": "Evaluated only (`dry_run=true`); nothing was written.",
            "content": {operation.media_type: {"schema": schema}},
        }
    if any(parameter.name == "If-None-Match" for parameter in operation.parameters):
        responses["304"] = {"description": "Still at the version that If-None-Match names."}
    if operation.role is None and operation.id in {"getHealth", "getReadiness"}:
        responses["503"] = {"description": "Down.", "content": {operation.media_type: {"schema": schema}}}
    responses.update(_refusals(operation))
    return dict(sorted(responses.items()))


def _refusals(operation: Operation) -> dict[str, Any]:
    """One response a status, with an example a code."""
    by_status: dict[str, list[str]] = {}
    for code in operation.all_problems():
        by_status.setdefault(str(problems.CATALOGUE[code].status), []).append(code)
    return {
        status: {
            "description": "Refused: " + ", ".join(f"`{code}`" for code in codes) + ".",
            "headers": _headers_of(codes),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": _REFERENCE.format(name="ProblemAnswer")},
                    "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
                }
            },
        }
        for status, codes in by_status.items()
    }


def _headers_of(codes: Iterable[str]) -> dict[str, Any]:
    headers = {}
    if any(problems.CATALOGUE[code].retry_after is not None for code in codes):
        headers["Retry-After"] = {"description": "Seconds to wait before the retry.", "schema": {"type": "integer"}}
    return headers
