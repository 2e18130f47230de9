"""What the API answers, as typed values. Fields that a newer API adds are ignored.

Amounts are minor units of the value's currency; times are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

import msgspec

from chronicle_client.money import Money

T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """One page of a list."""

    @property
    def items(self) -> Sequence[T_co]:
        """Return what is on the page."""
        ...

    @property
    def next_cursor(self) -> str | None:
        """Return where the next page begins, None on the last."""
        ...

    @property
    def unreadable(self) -> Sequence[Mapping[str, Any]]:
        """Return which rows the page leaves out, since the ledger wrote none such; empty unless it is damaged."""
        ...


class Account(msgspec.Struct, frozen=True):
    """An account. `available` is balance less `held`; `floor` is the lowest that `available` may be, None for none."""

    id: UUID
    currency: str
    kind: str
    balance: int
    held: int
    available: int
    floor: int | None
    version: int
    status: str
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        """Return the balance with its currency."""
        return Money(self.balance, self.currency)


class Entry(msgspec.Struct, frozen=True):
    """One entry of a transaction: what it did to one account."""

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int


class Transaction(msgspec.Struct, frozen=True):
    """A posted transaction. It does not change after it was posted."""

    id: UUID
    kind: str
    posted_at: datetime
    effective_at: datetime
    posted_by: str | None
    metadata: Mapping[str, Any]
    details: Mapping[str, Any]
    reverses: UUID | None
    hold_id: UUID | None
    hash: str
    entries: list[Entry]


class Hold(msgspec.Struct, frozen=True):
    """Money set aside. `transaction` is what the request posted, None where it was only read."""

    id: UUID
    account_id: UUID
    destination_id: UUID | None
    amount: int
    captured: int
    state: str
    expires_at: datetime | None
    transaction: Transaction | None


class Balance(msgspec.Struct, frozen=True):
    """A balance at the moment `at`."""

    account_id: UUID
    currency: str
    at: datetime
    balance: int
    held: int
    available: int
    version: int


class HistoryEntry(msgspec.Struct, frozen=True):
    """One line of an account's history."""

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int
    transaction_id: UUID
    posted_at: datetime
    posted_by: str | None


class ViewBalance(msgspec.Struct, frozen=True):
    """A balance of the read model, which follows the ledger."""

    account_id: UUID
    currency: str
    kind: str
    balance: int
    held: int
    available: int
    version: int
    posted_at: datetime


class StatementLine(msgspec.Struct, frozen=True):
    """One line of a statement of the read model: what a transaction did to the account, and what was left."""

    version: int
    transaction_id: UUID
    kind: str
    amount: int
    held: int
    balance_after: int
    held_after: int
    effective_at: datetime
    posted_at: datetime
    posted_by: str | None


class TrialLine(msgspec.Struct, frozen=True):
    """The sums of one currency over all accounts; `difference` is 0 in a ledger that balances."""

    currency: str
    accounts: int
    debit: int
    credit: int
    difference: int


class TrialBalance(msgspec.Struct, frozen=True):
    """The trial balance of the read model: a line for each currency."""

    currencies: list[TrialLine]


class Health(msgspec.Struct, frozen=True):
    """The ledger's health: `ok`, `degraded` or `down`, and why, component by component."""

    status: str
    components: Mapping[str, Any]
    instance: str
    region: str | None
    version: str


class AccountPage(msgspec.Struct, frozen=True):
    """A page of accounts."""

    accounts: list[Account]
    next_cursor: str | None
    unreadable: list[Mapping[str, Any]] = []

    @property
    def items(self) -> list[Account]:
        """Return the accounts."""
        return self.accounts


class HistoryPage(msgspec.Struct, frozen=True):
    """A page of an account's history."""

    entries: list[HistoryEntry]
    next_cursor: str | None
    unreadable: list[Mapping[str, Any]] = []

    @property
    def items(self) -> list[HistoryEntry]:
        """Return the entries."""
        return self.entries


class ViewBalancePage(msgspec.Struct, frozen=True):
    """A page of balances of the read model."""

    balances: list[ViewBalance]
    next_cursor: str | None
    unreadable: ClassVar[Sequence[Mapping[str, Any]]] = ()

    @property
    def items(self) -> list[ViewBalance]:
        """Return the balances."""
        return self.balances


class StatementPage(msgspec.Struct, frozen=True):
    """A page of a statement, with the account as the read model knows it."""

    account: ViewBalance
    lines: list[StatementLine]
    next_cursor: str | None
    unreadable: ClassVar[Sequence[Mapping[str, Any]]] = ()

    @property
    def items(self) -> list[StatementLine]:
        """Return the lines."""
        return self.lines
