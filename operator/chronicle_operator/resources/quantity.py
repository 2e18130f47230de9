"""Numbers of bytes as Kubernetes writes them."""

from __future__ import annotations

import re
from decimal import Decimal

UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(text: str) -> int:
    """Return a Kubernetes quantity of bytes as a number. Raises ValueError where it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(|[kMGTPE]|[KMGTPE]i)", text)
    if not match:
        raise ValueError(f"{text!r} is no number of bytes: write it as 10Gi or 500M")
    return int(Decimal(match[1]) * UNITS[match[2]])
