"""One grammar of times for queries and bodies: RFC 3339, section 5.6, with at most six digits of a fraction.

What Python and msgspec take besides (weeks, times without minutes, a comma, a blank instead of the T, offsets with
seconds) other languages read otherwise or not at all. A seventh digit would be rounded, into the next day at worst. A
leap second (`:60`) has no place in the databases.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

RULE: Final = (
    "must be an RFC 3339 time with an offset, such as 2026-01-31T09:00:00Z, and up to six digits of a fraction"
)

_GRAMMAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse(text: str) -> datetime:
    """Return the time with its offset. Raises ValueError, whose message is `RULE`."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(RULE)
    *parts, fraction, sign, hours, minutes = found.groups()
    microsecond = int((fraction or "0").ljust(6, "0"))
    try:
        year, month, day, hour, minute, second = map(int, parts)
        return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=_offset(sign, hours, minutes))
    except ValueError:
        raise ValueError(RULE) from None


def _offset(sign: str | None, hours: str, minutes: str) -> timezone:
    if sign is None:
        return UTC
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(RULE)
    size = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-size if sign == "-" else size)


class Instant:
    """A time in a body. A type of its own, since msgspec reads a `datetime` by its own, wider grammar."""

    __slots__ = ("value",)

    def __init__(self, value: datetime) -> None:
        self.value = value


def decode(kind: type[Any], value: Any) -> Any:
    """msgspec's `dec_hook`: what a body has where its type says Instant. Raises ValueError."""
    if kind is not Instant:
        raise TypeError(f"{kind} is not decoded here")
    if not isinstance(value, str):
        raise ValueError(RULE)  # noqa: TRY004 - msgspec turns it into a refusal that names the field
    return Instant(parse(value))


def encode(value: Any) -> datetime:
    """msgspec's `enc_hook`: an Instant is encoded as the time that it is."""
    if not isinstance(value, Instant):
        raise TypeError(f"{type(value)} is not encoded here")
    return value.value


def schema(kind: type[Any]) -> dict[str, Any]:
    """msgspec's `schema_hook`: how the documentation describes an Instant."""
    if kind is not Instant:
        raise NotImplementedError
    return {"type": "string", "format": "date-time"}
