"""The OpenAPI document, made of the operations: FastAPI lists them, msgspec gives the schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from chronicle_ledger import __version__
from chronicle_ledger.web import problems, times
from chronicle_ledger.web.openapi_dialect import polish, referenced
from chronicle_ledger.web.operation import Operation
from chronicle_ledger.web.parameters import Parameter

_REFERENCE = "#/components/schemas/{name}"


def document(
    listed: Sequence[Operation],
    routes: Sequence[BaseRoute],
    *,
    title: str,
    description: str,
    tags: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return the document of the operations in `listed`, which `routes` serves."""
    result = get_openapi(
        title=title,
        version=__version__,
        description=description,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=routes,
        tags=[dict(tag) for tag in tags],
    )
    types = [kind for operation in listed for kind in _types(operation)]
    references, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(types), problems.ProblemAnswer], ref_template=_REFERENCE, schema_hook=times.schema
    )
    by_type = dict(zip([*dict.fromkeys(types), problems.ProblemAnswer], references, strict=True))
    _describe_problems(schemas)
    bodies = {by_type[operation.body.type]["$ref"].rpartition("/")[2] for operation in listed if operation.body}
    polish(schemas, requests=referenced(schemas, bodies))
    for operation in listed:
        described = _operation(operation, by_type)
        result["paths"][operation.path][operation.method.lower()].update(described)
    result["servers"] = [{"url": "/", "description": "The instance that answers this document."}]
    result["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "examples": {code: {"summary": code, "value": _example(code)} for code in sorted(problems.CATALOGUE)},
        "securitySchemes": {
            "key": {"type": "http", "scheme": "bearer", "description": "A key made by `chronicle keys new`."}
        },
    }
    return result


def _describe_problems(schemas: dict[str, Any]) -> None:
    """Add what msgspec's types cannot say: a problem has further members and a stable code; a batch has problems."""
    problem = schemas["ProblemAnswer"]
    problem["additionalProperties"] = True
    problem["properties"]["code"] = {"type": "string", "enum": sorted(problems.CATALOGUE)}
    result = schemas["BatchResult"]["properties"]
    result["problem"] = {"$ref": _REFERENCE.format(name="ProblemAnswer")}
    result["transaction"] = {"$ref": _REFERENCE.format(name="TransactionAnswer")}


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
    if operation.role is None:
        described["security"] = []
    else:
        described["security"] = [{}, {"key": []}]
        described["x-required-role"] = operation.role.name.lower()
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": _of_parameter(parameter.schema),
    }
    return described if parameter.example is None else {**described, "example": parameter.example}


def _of_parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"format": "int64", **schema} if schema.get("type") == "integer" else dict(schema)


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
    if operation.not_modified:
        responses["304"] = {"description": "Still at the version that If-None-Match names."}
    if operation.may_be_down:
        responses["503"] = {"description": "Down.", "content": {operation.media_type: {"schema": schema}}}
    responses.update(_refusals(operation))
    return dict(sorted(responses.items()))


def _refusals(operation: Operation) -> dict[str, Any]:
    """Return one response per status, with one example per code."""
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
        headers["Retry-After"] = {
            "description": "Seconds to wait before the retry.",
            "schema": {"type": "integer", "format": "int64"},
        }
    return headers
