"""The ranges of money: what a caller may send, and what an account can hold. All in minor units."""

from __future__ import annotations

from chronicle_ledger.domain.errors import AmountOutOfRange, BalanceOutOfRange

MAX_AMOUNT = 2**53 - 1
"""The largest amount of one entry: the largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

MAX_BALANCE = 2**63 - 1
MIN_BALANCE = -(2**63)


def require_amount(amount: int) -> None:
    """Raise AmountOutOfRange unless `amount` (minor units) is between 1 and 2^53 - 1."""
    if not 0 < amount <= MAX_AMOUNT:
        raise AmountOutOfRange(f"An amount is between 1 and {MAX_AMOUNT} minor units.", amount=amount)


def require_balance(balance: int) -> None:
    """Raise BalanceOutOfRange unless `balance` (minor units) fits a signed 64-bit integer."""
    if not MIN_BALANCE <= balance <= MAX_BALANCE:
        raise BalanceOutOfRange("The balance would leave the range of a signed 64-bit integer.")
