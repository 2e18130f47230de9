"""Money is whole minor units of one currency."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronicle_client import Money
from chronicle_contract.money import LARGEST_AMOUNT

small = st.integers(min_value=-(2**40), max_value=2**40)


@pytest.mark.parametrize("units", [1.0, "1", True, None])
def test_money_is_not_made_of_anything_but_whole_units(units: Any) -> None:
    with pytest.raises(TypeError, match="whole minor units"):
        Money(units, "EUR")


@pytest.mark.parametrize("units", [LARGEST_AMOUNT + 1, -LARGEST_AMOUNT - 1])
def test_money_beyond_what_the_api_takes_is_refused(units: int) -> None:
    with pytest.raises(ValueError, match="beyond"):
        Money(units, "EUR")


@pytest.mark.parametrize("currency", ["eur", "EU", "E" * 17, "1UR", "EUR\n", ""])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="no currency"):
        Money(1, currency)


@given(small, small)
def test_sums_and_differences_are_exact(first: int, second: int) -> None:
    a, b = Money(first, "EUR"), Money(second, "EUR")
    assert (a + b).minor_units == first + second
    assert (a + b) - b == a
    assert -a + a == Money(0, "EUR")
    assert (a < b, a <= b) == (first < second, first <= second)


def test_two_currencies_neither_add_nor_compare() -> None:
    for work in (operator.add, operator.sub, operator.lt, operator.le):
        with pytest.raises(ValueError, match="different currencies"):
            work(Money(1, "EUR"), Money(1, "USD"))
    assert Money(1, "EUR") != Money(1, "USD")
