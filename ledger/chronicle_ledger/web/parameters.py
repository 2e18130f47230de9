"""Path and query parameters, read strictly: an unknown or repeated one is refused, never ignored.

If a misspelt `dry_run` were ignored, real money would be posted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from chronicle_contract import money
from chronicle_ledger.web import times
from chronicle_ledger.web.problems import Problem

E = TypeVar("E", bound=StrEnum)

# UUID() also takes braces, URNs, bare digits, hyphens anywhere and underscores between digits.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_FIELDS = 50


def invalid(field: str, rule: str) -> Problem:
    """Return the problem of a parameter that breaks `rule`."""
    return Problem("validation_failed", f"{field}: {rule}.", field=field)


def uuid(name: str, text: str) -> UUID:
    """Return the UUID that `text`, the parameter `name`, spells. Raises Problem."""
    if not _UUID.fullmatch(text):
        raise invalid(name, "must be a UUID, such as 0b7f5d0e-6f0b-4b43-9a0a-7d6f3c1c2a10")
    return UUID(text)


class Query:
    """A query, in which only the names in `allowed` may appear, once each. Raises Problem."""

    __slots__ = ("_values",)

    def __init__(self, raw: bytes, allowed: Sequence[str]) -> None:
        self._values: dict[str, str] = {}
        if not raw:
            return
        if raw.count(b"&") >= MAX_FIELDS:
            raise Problem("malformed_request", f"The query has more than {MAX_FIELDS} parameters.")
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
        except ValueError:
            raise Problem("malformed_request", "The query is not URL-encoded UTF-8.") from None
        for name, value in pairs:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise invalid(name[:100], f"no such query parameter here; there are: {known}")
            if name in self._values:
                raise invalid(name, "is given twice")
            if "\x00" in value:
                raise invalid(name, "must not contain NUL")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """Return the value as it is, or None where it is not given."""
        return self._values.get(name)

    def identity(self, name: str) -> UUID | None:
        """Return the value as a UUID, or None where it is not given."""
        value = self._values.get(name)
        return None if value is None else uuid(name, value)

    def currency(self) -> str | None:
        """Return the parameter `currency`, a code that an account could have."""
        value = self._values.get("currency")
        if value is not None and not re.fullmatch(money.CURRENCY, value):
            raise invalid("currency", "must be 3 to 16 capital letters and digits")
        return value

    def alone(self, name: str, *others: str) -> None:
        """Refuse `others` beside `name`, where they could not have any effect."""
        for other in others:
            if name in self._values and other in self._values:
                raise invalid(other, f"has no effect beside {name}; leave one of them out")

    def flag(self, name: str) -> bool:
        """Return whether the value is `true`; without the parameter, False."""
        value = self._values.get(name, "false")
        if value not in {"true", "false"}:
            raise invalid(name, "must be true or false")
        return value == "true"

    def limit(self) -> int:
        """Return how many items a page may have."""
        value = self._values.get("limit")
        if value is None:
            return DEFAULT_LIMIT
        if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= MAX_LIMIT):
            raise invalid("limit", f"must be an integer from 1 to {MAX_LIMIT}")
        return int(value)

    def choice(self, name: str, choices: type[E]) -> E | None:
        """Return the value as a member of `choices`, or None where it is not given."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            raise invalid(name, f"must be one of {', '.join(choices)}") from None

    def moment(self, name: str) -> datetime | None:
        """Return an RFC 3339 time with its offset, in UTC. The grammar is that of times in bodies."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return times.parse(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid(name, f"{times.RULE} (write + as %2B)") from None


NO_QUERY: Final = Query(b"", ())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, path parameter or header, for the documentation."""

    name: str
    place: str
    schema: Mapping[str, Any]
    description: str
    required: bool = False
    example: Any = None


UUID_TEXT = {"type": "string", "format": "uuid"}
MOMENT = {"type": "string", "format": "date-time"}


def path_uuid(name: str, what: str) -> Parameter:
    """Document a UUID in the path."""
    return Parameter(name, "path", UUID_TEXT, f"The id of {what}.", required=True)


def window(what: str) -> tuple[Parameter, Parameter]:
    """Document `from` and `to`, by time of posting."""
    return (
        Parameter("from", "query", MOMENT, f"Only {what} posted at this moment or later."),
        Parameter("to", "query", MOMENT, f"Only {what} posted before this moment."),
    )


DRY_RUN = Parameter(
    "dry_run",
    "query",
    {"type": "boolean", "default": False},
    "true: evaluate and answer as if it were posted, but write nothing. Needs no Idempotency-Key.",
)
LIMIT = Parameter(
    "limit",
    "query",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "How many items to answer at most.",
)
CURRENCY = Parameter(
    "currency", "query", {"type": "string", "pattern": f"^{money.CURRENCY}$"}, "Only accounts in this currency."
)
CURSOR = Parameter("cursor", "query", {"type": "string"}, "Where to go on: next_cursor of the answer before.")
KEY = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$"},
    "Decides the transaction's id: the same key with the same body is posted once, however often it is sent.",
    required=True,
)
OPTIONAL_KEY = Parameter("Idempotency-Key", "header", KEY.schema, "As for postings, but not required.")
IF_MATCH = Parameter(
    "If-Match",
    "header",
    {"type": "string", "pattern": '^"[0-9]{1,18}"$|^\\*$'},
    "Only if the account is still at this version (its ETag); otherwise 412.",
)
