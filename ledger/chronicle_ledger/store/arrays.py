"""Array literals, built as text. The driver's own lists cost several times more per element on the hot path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain(values: Iterable[Any]) -> str:
    """An array of values whose text needs no quoting: numbers, UUIDs, lower-case words. None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def quoted(values: Iterable[str | None]) -> str:
    """An array of any texts. None is NULL."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def binary(values: Iterable[bytes]) -> str:
    """An array of BYTEA."""
    parts = [value.hex() for value in values]
    return '{"\\\\x' + '","\\\\x'.join(parts) + '"}' if parts else "{}"
