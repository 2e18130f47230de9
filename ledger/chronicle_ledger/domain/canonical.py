"""One spelling for every value that is hashed or published, so that equal things are equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, check_circular=False
).encode


def canonical_json(value: Mapping[str, Any]) -> str:
    """`value` as JSON with sorted keys, no spaces and ASCII only.

    Reading it and writing it again gives the same text, so a value can be hashed from the database as it was hashed
    before it went in. Raises ValueError for NaN and infinities, which JSON has no spelling for.
    """
    return _encode(value) if value else "{}"


@lru_cache(maxsize=1024)
def json_string(text: str) -> str:
    """`text` as a JSON string, for texts that return often (currencies, kinds)."""
    return _encode(text)


@lru_cache(maxsize=1024)
def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`: `2026-01-31T09:00:00.000000Z`.

    Cached, because a batch has one moment, which is written down a dozen times for each transaction.
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"
