"""From a request's bytes to a typed value, refusing what JSON lets through and money cannot afford.

msgspec refuses floats, booleans and text where an integer is due, and unknown fields. What it lets through is refused
here: a key given twice (parsers disagree on which one counts), NUL (PostgreSQL's jsonb cannot hold it), numbers in
metadata that another parser would round.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from chronicle_ledger.api.call import JSON, Call
from chronicle_ledger.api.problems import Problem

LARGEST: Final = 2**53 - 1
"""The largest integer that every JSON parser reads without rounding."""

METADATA_DEPTH: Final = 8
METADATA_BYTES: Final = 16_384

_WHERE = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
_RANGE = re.compile(r"`int` [<>]=|out of range")


class Body:
    """A decoder for one type of body: `await TRANSFER.read(call)`."""

    __slots__ = ("_decoder", "optional", "type")

    def __init__(self, kind: type[Any], *, optional: bool = False) -> None:
        self.type = kind
        self._decoder = msgspec.json.Decoder(kind)
        self.optional = optional

    async def read(self, call: Call) -> Any:
        """The decoded body. Raises Problem (400, 413, 415, 422); an optional body may be empty, meaning `{}`."""
        body = await call.body()
        if not body and self.optional:
            body = b"{}"
        else:
            _check_media_type(call)
        return self.decode(body)

    def decode(self, body: bytes) -> Any:
        """Decode and check `body`. Raises Problem."""
        try:
            value = self._decoder.decode(body)
            _TWICE.decode(body.decode())
        except msgspec.ValidationError as error:
            raise _invalid(str(error)) from None
        except (ValueError, RecursionError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
            text = str(error).removeprefix("JSON is malformed: ")
            raise Problem("malformed_json", f"The body is not JSON: {text}.") from None
        if b"\\u0000" in body:
            _refuse_nul(value)
        return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("malformed_json", f"The member {twice!r} is given twice.", field=twice)
    return members


_TWICE = json.JSONDecoder(object_pairs_hook=_once)


def _check_media_type(call: Call) -> None:
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
    code = "validation_failed"
    if field.endswith("amount") and _RANGE.search(text):
        code = "amount_out_of_range"
    detail = text.replace("`", "")
    return Problem(code, f"{field}: {detail}." if field else f"{detail}.", field=field or "body")


def check_metadata(metadata: Mapping[str, Any], field: str = "metadata") -> None:
    """Refuse metadata that another JSON parser or the database would alter. Raises Problem."""
    if not metadata:
        return
    _check_value(metadata, field, METADATA_DEPTH)
    size = len(msgspec.json.encode(metadata))
    if size > METADATA_BYTES:
        raise Problem(
            "validation_failed", f"{field}: {size} bytes of JSON; up to {METADATA_BYTES} are stored.", field=field
        )


def _check_value(value: Any, field: str, depth: int) -> None:
    if depth < 0:
        raise Problem(
            "validation_failed", f"{field}: nested deeper than {METADATA_DEPTH} levels.", field=field.partition(".")[0]
        )
    if isinstance(value, Mapping):
        for name, member in value.items():
            if len(name) > 255:
                raise Problem("validation_failed", f"{field}: a name of over 255 characters.", field=field)
            _check_value(member, f"{field}.{name}", depth - 1)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check_value(member, f"{field}[{index}]", depth - 1)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) > LARGEST):
        raise Problem(
            "validation_failed",
            f"{field}: numbers in metadata are integers up to 2^53 - 1; give others as strings.",
            field=field,
        )


def _refuse_nul(value: Any) -> None:
    """Refuse NUL anywhere in `value`; an escaped backslash before `u0000` is harmless text. Raises Problem."""
    text = msgspec.json.encode(value).replace(b"\\\\", b"")
    if b"\\u0000" in text:
        raise Problem("validation_failed", "The character NUL (\\u0000) cannot be stored.", field="body")


def moment(value: datetime | None, field: str = "effective_at") -> datetime | None:
    """`value` in UTC. Raises Problem for years that the databases and other languages cannot all hold."""
    if value is None:
        return None
    if not 1900 <= value.year <= 9000:
        raise Problem("validation_failed", f"{field}: the year must be between 1900 and 9000.", field=field)
    return value.astimezone(UTC)
