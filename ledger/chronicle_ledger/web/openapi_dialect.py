"""What generators of clients need and msgspec does not write: the last touch to the schemas of the document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

PAST_2_53: Final = (
    "A signed 64-bit integer, which may exceed 2^53 - 1. Past it JavaScript's JSON.parse loses digits;"
    " use BigInt there."
)


ONLY_PYTHON: Final = r"(?!\n)"
"""What keeps Python's `$` from matching before a last line break. Elsewhere it does not, and Go has no look-ahead."""


def polish(schemas: dict[str, Any], *, requests: set[str]) -> None:
    """Complete the component schemas. `requests` names those that stand in bodies, which nothing answers.

    A default in a request makes generators demand the member (openapi-typescript does), so it becomes a sentence.
    """
    for name, schema in schemas.items():
        for part in _parts(schema):
            _complete(part)
        properties = schema.get("properties", {})
        for member in properties.values():
            if name in requests:
                _say_default(member)
            else:
                member.pop("default", None)
                _say_size(member)
        if schema.get("required") == []:
            del schema["required"]


def referenced(schemas: dict[str, Any], roots: set[str]) -> set[str]:
    """The names of the schemas that `roots` consist of, themselves included."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [part["$ref"].rpartition("/")[2] for part in _parts(schemas[name]) if "$ref" in part]
    return found


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in `schema`, from the outside inwards."""
    if isinstance(schema, dict):
        yield schema
        for member in schema.values():
            yield from _parts(member)
    elif isinstance(schema, list):
        for member in schema:
            yield from _parts(member)


def _complete(part: dict[str, Any]) -> None:
    if isinstance(pattern := part.get("pattern"), str):
        part["pattern"] = pattern.replace(ONLY_PYTHON, "")
    match part.get("type"):
        case "integer":
            part.setdefault("format", "int64")
        case "object" if "properties" not in part:
            part.setdefault("additionalProperties", True)


def _say_default(member: dict[str, Any]) -> None:
    if "default" not in member:
        return
    default = member.pop("default")
    if default is not None:
        told = "{}" if default == {} else str(default).lower() if isinstance(default, bool) else default
        member["description"] = " ".join(filter(None, [member.get("description"), f"Default: {told}."]))


def _say_size(member: dict[str, Any]) -> None:
    whole = [part for part in _parts(member) if part.get("type") == "integer" and "maximum" not in part]
    if whole and "description" not in member and not any("items" in part for part in _parts(member)):
        member["description"] = PAST_2_53
