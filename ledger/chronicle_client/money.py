"""Money: an integer of minor units and its currency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from chronicle_contract.money import CURRENCY, LARGEST_AMOUNT


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor_units` of `currency`: `Money(1050, "EUR")` is 10.50 euro.

    Raises TypeError for anything but a whole number, and ValueError for one that the API would refuse.
    """

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        """Check both parts."""
        units: object = self.minor_units
        if isinstance(units, bool) or not isinstance(units, int):
            raise TypeError(f"money is counted in whole minor units, not in {type(units).__name__}: {units!r}")
        if abs(self.minor_units) > LARGEST_AMOUNT:
            raise ValueError(f"{self.minor_units} is beyond ±{LARGEST_AMOUNT} minor units")
        if re.fullmatch(CURRENCY, self.currency) is None:
            raise ValueError(f"{self.currency!r} is no currency: 3 to 16 capitals and digits, as in EUR")

    def __add__(self, other: Self) -> Money:
        """Return the sum. Raises ValueError for another currency."""
        return Money(self.minor_units + self._alike(other).minor_units, self.currency)

    def __sub__(self, other: Self) -> Money:
        """Return the difference. Raises ValueError for another currency."""
        return Money(self.minor_units - self._alike(other).minor_units, self.currency)

    def __neg__(self) -> Money:
        """Return the same amount with the other sign."""
        return Money(-self.minor_units, self.currency)

    def __lt__(self, other: Self) -> bool:
        """Compare amounts. Raises ValueError for another currency."""
        return self.minor_units < self._alike(other).minor_units

    def __le__(self, other: Self) -> bool:
        """Compare amounts. Raises ValueError for another currency."""
        return self.minor_units <= self._alike(other).minor_units

    def _alike(self, other: Self) -> Self:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} are different currencies; convert one first")
        return other
