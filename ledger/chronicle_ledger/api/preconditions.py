"""ETag and If-Match: an account's version, as HTTP spells it."""

from __future__ import annotations

import re

from chronicle_ledger.api.call import Call
from chronicle_ledger.api.problems import Problem

_STRONG = re.compile(r'"([0-9]{1,18})"')


def etag(version: int) -> str:
    """The strong entity tag of an account at `version`."""
    return f'"{version}"'


def if_match(call: Call) -> int | None:
    """The version that If-Match asks for; None without the header and for `*`. Raises Problem."""
    value = call.header(b"if-match")
    if value is None or value.strip() == "*":
        return None
    found = _STRONG.fullmatch(value.strip())
    if found is None:
        raise Problem("invalid_precondition")
    return int(found[1])


def unchanged(call: Call, version: int) -> bool:
    """Whether If-None-Match says that the caller has this version already."""
    value = call.header(b"if-none-match")
    if value is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in value.split(",")]
    return "*" in tags or etag(version) in tags
