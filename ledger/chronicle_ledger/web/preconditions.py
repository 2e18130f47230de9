"""ETag and If-Match: an account's version, as HTTP spells it."""

from __future__ import annotations

import re
from typing import Any

from chronicle_ledger.web.call import Call
from chronicle_ledger.web.problems import Problem

_STRONG = re.compile(r'"([0-9]{1,18})"')


def etag(version: int) -> str:
    """Return the strong entity tag of an account at `version`."""
    return f'"{version}"'


def if_match(call: Call[Any]) -> int | None:
    """Return the version that If-Match asks for, or None without the header and for `*`. Raises Problem."""
    value = call.header(b"if-match")
    if value is None or value.strip() == "*":
        return None
    tag = _STRONG.fullmatch(value.strip())
    if tag is None:
        raise Problem("invalid_precondition")
    return int(tag[1])


def unchanged(call: Call[Any], version: int) -> bool:
    """Return whether If-None-Match says that the caller has this version already."""
    value = call.header(b"if-none-match")
    if value is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in value.split(",")]
    return "*" in tags or etag(version) in tags
