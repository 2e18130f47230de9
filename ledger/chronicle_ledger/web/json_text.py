"""What may be said of a body by its bytes alone: how many values it has, how long its numbers are, no member twice.

A decoder's time grows with the number of values, and with the square of a number's digits. So a large body is bounded
by counting, at the speed of memory, before it is decoded. Only what stands outside of strings counts, which is found
without decoding: escapes are taken away, and every second piece between two quotes is a string.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any, Final

import msgspec

from chronicle_ledger.web.problems import Problem

SMALL: Final = 1 << 16
"""Bytes up to which nothing that a body could hold takes long."""

VALUES: Final = 12_000
"""How many values a body may have, unless its kind says otherwise: 16 KiB of metadata and 500 entries have 10,700."""

VALUES_OF_BATCH: Final = 50_000
"""How many values a batch may have: 1 MiB of journal entries, written as densely as can be, has 48,000."""

DEPTH: Final = 16
"""How deep a large body may be nested; metadata in a batch reaches 12."""

LOOKED_AT: Final = 4_000
"""So many brackets are looked at for `DEPTH`. What is nested deeper behind them ends the decoder at once."""

DIGITS: Final = 400
"""How many digits in a row a large body may have: more than any number that JSON parsers agree on."""

SHOWN: Final = 200
"""Characters of a caller's text that a refusal repeats."""

_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_NO_DIGITS: Final = bytes(byte if byte in b"0123456789" else 0x20 for byte in range(256))


def bound(body: bytes, values: int = VALUES) -> int | None:
    """Refuse what would take long to decode; `values` is how many there may be in a large body. Raises Problem.

    Return how many members a large body has, and None for a small one, whose members nobody has to count.
    """
    if len(body) <= SMALL:
        return None
    outside = _outside_of_strings(body, values)
    if _deep(outside.translate(None, _NO_BRACKETS)[:LOOKED_AT]):
        raise Problem("malformed_json", f"The body is nested deeper than {DEPTH} levels.")
    if outside.count(b",") + outside.count(b"{") + outside.count(b"[") > values:
        raise _too_many(values)
    if max(map(len, outside.translate(_NO_DIGITS).split()), default=0) > DIGITS:
        raise Problem("validation_failed", f"The body has a number of more than {DIGITS} digits.", field="body")
    return outside.count(b":")  # outside of strings a colon stands in a member and nowhere else


def refuse_twice(body: bytes, members: int | None) -> None:
    """Refuse a member given twice: parsers disagree on which one counts. `members` is what `bound` said.

    Raises Problem, and ValueError or RecursionError for some of what is not JSON.
    """
    if members is None:
        _TWICE.decode(body.decode())
    elif _members(msgspec.json.decode(body)) != members:
        raise Problem("malformed_json", "A member is given twice in one of the objects.", field="body")


def _outside_of_strings(body: bytes, values: int) -> bytes:
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 4 * values:  # a value is at most a name and a string
        raise _too_many(values)
    return b"".join(body.split(b'"')[::2])


def _deep(brackets: bytes) -> bool:
    return any(depth > DEPTH for depth in accumulate(1 if bracket in b"[{" else -1 for bracket in brackets))


def _too_many(values: int) -> Problem:
    return Problem("body_too_large", f"Such a body may have up to {values} values.", limit=values)


def _members(value: Any) -> int:
    """How many members the objects in `value` have in all."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            count += len(one)
            one = one.values()
        elif not isinstance(one, list):
            continue
        waiting += [inner for inner in one if inner.__class__ in (dict, list)]
    return count


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                shown = name[:SHOWN]
                raise Problem("malformed_json", f"The member {shown!r} is given twice.", field=shown)
            seen.add(name)
    return members


_TWICE = json.JSONDecoder(object_pairs_hook=_once)
