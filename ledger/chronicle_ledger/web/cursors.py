"""Where a listing goes on. Opaque to callers, so that what it is made of may change."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar

from chronicle_ledger.web.problems import Problem

T = TypeVar("T")


LAST_VERSION = 2**63 - 1


def following(position: object | None) -> str | None:
    """`next_cursor` of a page: the cursor that stands for `position`, or None on the last page."""
    return None if position is None else encode(position)


def version(text: str) -> int:
    """The position in an account's history: 1 to 2^63 - 1. Raises ValueError."""
    found = int(text)
    if not 0 < found <= LAST_VERSION:
        raise ValueError(text)
    return found


def encode(position: object) -> str:
    """The cursor that stands for `position` (its text must say it all)."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode(cursor: str | None, read: Callable[[str], T]) -> T | None:
    """The position behind `cursor`; None where there is none. Raises Problem `invalid_cursor`."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        position = read(text)
    except (ValueError, binascii.Error):
        raise Problem("invalid_cursor", "cursor: take it, unchanged, from next_cursor.", field="cursor") from None
    if encode(position) != cursor:  # one position has one spelling
        raise Problem("invalid_cursor", "cursor: take it, unchanged, from next_cursor.", field="cursor")
    return position
