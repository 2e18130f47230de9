"""What an amount and a currency look like, for the service and for its clients."""

from __future__ import annotations

from typing import Final

LARGEST_AMOUNT: Final = 2**53 - 1
"""The largest amount of one entry, in minor units: the largest integer that every JSON reader keeps exact (RFC 8259,
section 6)."""

CURRENCY: Final = "[A-Z][A-Z0-9]{2,15}"
"""A currency, as a regular expression: an ISO 4217 code, or another of 3 to 16 capitals and digits."""
