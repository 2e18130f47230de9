"""From a pydantic model to a structural schema, the subset of JSON schema that Kubernetes stores and prunes by.

No `$ref`, no `title`, no `anyOf` with null (an optional field is one that is not `required`), `default` in camelCase;
integers and strings mixed become `x-kubernetes-int-or-string`.
(Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions", section on structural schemas.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

DROPPED = frozenset({"title", "const", "$defs", "additionalProperties", "exclusiveMinimum"})
QUANTITY = (
    r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


def of_model(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model."""
    source = model.model_json_schema(by_alias=True)
    return _convert(source, source.get("$defs", {}))


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    node = _resolved(node, definitions)
    schema = {key: value for key, value in node.items() if key not in DROPPED}
    schema.pop("$ref", None)
    if "anyOf" in schema:
        return _int_or_string(schema)
    if schema.get("default", 0) is None:
        del schema["default"]
    elif "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
    if "description" in schema:
        schema["description"] = " ".join(str(schema["description"]).split())
    if schema.get("type") == "object":
        _convert_object(node, schema, definitions)
    if "items" in node:
        schema["items"] = _convert(node["items"], definitions)
    return schema


def _convert_object(node: Mapping[str, Any], schema: Schema, definitions: Mapping[str, Any]) -> None:
    if properties := node.get("properties"):
        schema["properties"] = {name: _convert(value, definitions) for name, value in properties.items()}
    elif isinstance(node.get("additionalProperties"), Mapping):
        schema["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    required = [
        name for name in schema.get("required", ()) if "default" not in schema.get("properties", {}).get(name, {})
    ]
    schema.pop("required", None)
    if required:
        schema["required"] = required


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow `$ref` and drop the null of an optional; what stands beside them (default, description) wins."""
    resolved = dict(node)
    while True:
        if "$ref" in resolved:
            target = definitions[str(resolved.pop("$ref")).rpartition("/")[2]]
            resolved = {**target, **resolved}
        elif "allOf" in resolved and len(resolved["allOf"]) == 1:
            resolved = {**resolved.pop("allOf")[0], **resolved}
        elif "anyOf" in resolved and len(choices := _not_null(resolved["anyOf"])) == 1:
            del resolved["anyOf"]
            resolved = {**choices[0], **resolved}
        else:
            return resolved


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _not_null(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice for choice in choices if choice.get("type") != "null"]


def _int_or_string(schema: Schema) -> Schema:
    kinds = {choice.get("type") for choice in _not_null(schema["anyOf"])}
    if kinds != {"string", "integer"}:
        raise TypeError(f"a structural schema has no union of {sorted(map(str, kinds))}: split the field")
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY,
        "minimum": 0,
        "x-kubernetes-int-or-string": True,
    }
