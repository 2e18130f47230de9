"""From a request's bytes to a typed value, refusing what JSON lets through and money cannot afford.

msgspec refuses floats, booleans and text where an integer is due, and unknown fields. What it lets through is refused
here: a key given twice (parsers disagree on which one counts), NUL (PostgreSQL's jsonb cannot hold it), numbers in
metadata that another parser would round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic

import msgspec

from chronicle_contract.money import LARGEST_AMOUNT as LARGEST
from chronicle_ledger.web import json_text, times
from chronicle_ledger.web.call import JSON, B, Call
from chronicle_ledger.web.json_text import SHOWN
from chronicle_ledger.web.problems import Problem

METADATA_DEPTH: Final = 8
METADATA_BYTES: Final = 16_384
LONGEST_NAME: Final = 255

_WHERE = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
_RANGE = re.compile(r"`int` [<>]=|out of range")


class Body(Generic[B]):
    """A decoder for one type of body. An operation declares it and finds the decoded body in its call."""

    __slots__ = ("_decoder", "_values", "optional", "type")

    def __init__(self, kind: type[B], *, optional: bool = False, values: int = json_text.VALUES) -> None:
        self.type = kind
        self._values = values
        self._decoder: msgspec.json.Decoder[B] = msgspec.json.Decoder(kind, dec_hook=times.decode)
        self.optional = optional

    async def read(self, call: Call[Any]) -> B:
        """Return the decoded body. Raises Problem (400, 413, 415, 422); an optional body may be empty, meaning `{}`."""
        body = await call.content()
        if not body and self.optional:
            body = b"{}"
        else:
            _check_media_type(call)
        return self.decode(body)

    def decode(self, body: bytes) -> B:
        """Decode and check `body`, in a time that grows with its size and no faster. Raises Problem."""
        try:
            members = json_text.bound(body, self._values)
            value = self._decoder.decode(body)
            json_text.refuse_twice(body, members)
        except msgspec.ValidationError as error:
            raise _invalid(str(error)) from None
        except (ValueError, RecursionError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
            text = str(error).removeprefix("JSON is malformed: ")[:SHOWN]
            raise Problem("malformed_json", f"The body is not JSON: {text}.") from None
        if b"\\u0000" in body:
            _refuse_nul(value)
        return value


def _check_media_type(call: Call[Any]) -> None:
    given = call.header(b"content-type")
    if given == JSON:
        return
    media, _, parameters = (given or "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media.strip().lower() != JSON or charset not in {"", "charset=utf-8"}:
        raise Problem("unsupported_media_type", f"Send the body as application/json, in UTF-8, not as {given!r}.")


def _invalid(text: str) -> Problem:
    """Turn msgspec's message into a problem that names the field."""
    field = ""
    if where := _WHERE.search(text):
        field, text = where["field"], text[: where.start()]
    if name := _UNKNOWN.search(text) or _MISSING.search(text):
        field = f"{field}.{name['field']}" if field else name["field"]
    field, text = field[:SHOWN], text[:SHOWN]  # a member's name can be as long as the body
    code = "validation_failed"
    if field.endswith("amount") and _RANGE.search(text):
        code = "amount_out_of_range"
    detail = text.replace("`", "")
    return Problem(code, f"{field}: {detail}." if field else f"{detail}.", field=field or "body")


def check_metadata(metadata: Mapping[str, Any], field: str = "metadata") -> None:
    """Refuse metadata that another JSON parser or the database would alter. Raises Problem."""
    if not metadata:
        return
    _Walk(field).look(metadata, (field,))
    size = len(msgspec.json.encode(metadata))
    if size > METADATA_BYTES:
        raise Problem(
            "validation_failed", f"{field}: {size} bytes of JSON; up to {METADATA_BYTES} are stored.", field=field
        )


class _Walk:
    """One look at every value of metadata, which ends as soon as they cannot fit into `METADATA_BYTES`."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._room = METADATA_BYTES

    def look(self, value: Any, path: tuple[str | int, ...]) -> None:
        """Check `value` and what is in it. Raises Problem."""
        if len(path) > METADATA_DEPTH + 1:
            raise Problem(
                "validation_failed", f"{_spelled(path)}: nested deeper than {METADATA_DEPTH} levels.", field=self._field
            )
        self._take(2)  # no value is shorter than a digit and the comma, bracket or brace beside it
        if isinstance(value, Mapping):
            for name, member in value.items():
                if len(name) > LONGEST_NAME:
                    raise Problem(
                        "validation_failed",
                        f"{_spelled(path)}: a name of over {LONGEST_NAME} characters.",
                        field=_spelled(path),
                    )
                self._take(len(name))
                self.look(member, (*path, name))
        elif isinstance(value, list):
            for index, member in enumerate(value):
                self.look(member, (*path, index))
        elif isinstance(value, str):
            self._take(len(value))
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) > LARGEST):
            raise Problem(
                "validation_failed",
                f"{_spelled(path)}: numbers in metadata are integers up to 2^53 - 1; give others as strings.",
                field=_spelled(path),
            )

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise Problem(
                "validation_failed",
                f"{self._field}: more than the {METADATA_BYTES} bytes of JSON that are stored.",
                field=self._field,
            )


def _spelled(path: tuple[str | int, ...]) -> str:
    """Spell a place as a caller would write it: `metadata.items[3].name`."""
    first, *others = path
    spelled = "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in others])
    return f"{first}{spelled}"


def _refuse_nul(value: Any) -> None:
    """Refuse NUL anywhere in `value`; an escaped backslash before `u0000` is harmless text. Raises Problem."""
    text = msgspec.json.encode(value, enc_hook=times.encode).replace(b"\\\\", b"")
    if b"\\u0000" in text:
        raise Problem("validation_failed", "The character NUL (\\u0000) cannot be stored.", field="body")


def moment(given: times.Instant | None, field: str = "effective_at") -> datetime | None:
    """Return the time in UTC. Raises Problem for years that the databases and other languages cannot all hold."""
    return None if given is None else in_range(given.value, field)


def in_range(value: datetime, field: str) -> datetime:
    """Return `value` in UTC. Raises Problem for years that the databases and other languages cannot all hold."""
    if not 1900 <= value.year <= 9000:
        raise Problem("validation_failed", f"{field}: the year must be between 1900 and 9000.", field=field)
    return value.astimezone(UTC)
