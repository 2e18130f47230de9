"""Header fields as a proxy sees them."""

from __future__ import annotations

from typing import Final

HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"content-length",
})  # fmt: skip
"""Each side has its own; a message's length is counted and written by the balancer."""


def line(name: bytes, value: bytes) -> bytes:
    """Return a field as it goes on. Raises ValueError for a value that would end the field early."""
    if b"\n" in value or b"\r" in value:
        raise ValueError("a header spans lines")
    return b"%b: %b\r\n" % (name, value)
