"""The ranges of money: what a caller may send, and what an account can hold. All in minor units."""

from __future__ import annotations

from chronicle_contract.money import LARGEST_AMOUNT
from chronicle_ledger.domain.errors import AmountOutOfRange

MAX_AMOUNT = LARGEST_AMOUNT
MAX_BALANCE = 2**63 - 1
MIN_BALANCE = -(2**63)
"""What fits a signed 64-bit integer, as the database and the events have it."""

BALANCE_LIMIT = 2**62
"""No posting takes a balance further from zero than this, so that what is derived from it (what is available, with as
much held) still fits 64 bits."""


def require_amount(amount: int) -> None:
    """Raise AmountOutOfRange unless `amount` (minor units) is between 1 and 2^53 - 1."""
    if not 0 < amount <= MAX_AMOUNT:
        raise AmountOutOfRange(f"An amount is between 1 and {MAX_AMOUNT} minor units.", amount=amount)


def has_room(balance: int, amount: int) -> bool:
    """Whether `amount` (signed minor units) may be added to `balance`. The way back towards zero is always open."""
    after = balance + amount
    return -BALANCE_LIMIT <= after <= BALANCE_LIMIT or abs(after) < abs(balance)
