"""The operations of the API as values: what to ask for, under which idempotency key, and what comes back.

A value that posts has its key from the moment it is made. So sending the same value twice is one posting, and making a
second value is another intent. Pass `key` where the intent has a name of its own, such as an order's number.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from chronicle_client import answers
from chronicle_client.answers import Account, Balance, Health, Hold, Page, Transaction
from chronicle_client.money import Money

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One request: `body` is its JSON, `key` the idempotency key of one that posts, `answer` what comes back."""

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that comes in pages. `Client.iterate` goes through all of them."""

    path: str
    answer: type[Page[T]]
    query: Mapping[str, str]

    def page(self, cursor: str | None = None) -> Operation[Page[T]]:
        """Return the operation that reads the page at `cursor`, None for the first."""
        query = {**self.query, **({"cursor": cursor} if cursor else {})}
        return Operation("GET", self.path, self.answer, query)


def open_account(
    currency: str,
    *,
    floor: int | None = 0,
    id: UUID | None = None,  # noqa: A002 - the API's name
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Account]:
    """Open an account. `floor` is the lowest `available`, in minor units; None lets it go below zero without limit."""
    body = {"currency": currency, "floor": floor, **_given(id=_text(id), metadata=metadata)}
    return _posting("/v1/accounts", Account, body, key)


def update_account(
    account_id: UUID,
    *,
    status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    expected_version: int | None = None,
    key: str | None = None,
) -> Operation[Account]:
    """Change an account's status (`open`, `frozen` or `closed`) or its metadata."""
    body = _given(status=status, metadata=metadata, expected_version=expected_version)
    return Operation("PATCH", f"/v1/accounts/{account_id}", Account, {}, body, key or _new_key())


def transfer(
    source: UUID,
    destination: UUID,
    amount: Money,
    *,
    effective_at: datetime | None = None,
    expected_version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Transaction]:
    """Move `amount` from one account to another. `expected_version` is the version that `source` must have."""
    body = _money(amount) | {"source": str(source), "destination": str(destination)}
    body |= _given(expected_version=expected_version, effective_at=_text(effective_at), metadata=metadata)
    return _posting("/v1/transfers", Transaction, body, key)


def deposit(
    account_id: UUID,
    amount: Money,
    *,
    effective_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Transaction]:
    """Bring `amount` from the outside world into an account."""
    body = _money(amount) | _given(effective_at=_text(effective_at), metadata=metadata)
    return _posting(f"/v1/accounts/{account_id}/deposits", Transaction, body, key)


def withdrawal(
    account_id: UUID,
    amount: Money,
    *,
    effective_at: datetime | None = None,
    expected_version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Transaction]:
    """Take `amount` out of an account to the outside world."""
    body = _money(amount) | _given(
        expected_version=expected_version, effective_at=_text(effective_at), metadata=metadata
    )
    return _posting(f"/v1/accounts/{account_id}/withdrawals", Transaction, body, key)


def leg(account_id: UUID, amount: Money) -> Mapping[str, Any]:
    """Return one entry of a journal: more than 0 puts money into the account, less takes it out."""
    return {"account_id": str(account_id), **_money(amount)}


def journal(
    legs: Sequence[Mapping[str, Any]],
    *,
    effective_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Transaction]:
    """Post several entries at once; those of each currency sum to 0."""
    body = {"entries": list(legs), **_given(effective_at=_text(effective_at), metadata=metadata)}
    return _posting("/v1/transactions", Transaction, body, key)


def reverse(
    transaction_id: UUID, *, metadata: Mapping[str, Any] | None = None, key: str | None = None
) -> Operation[Transaction]:
    """Post the opposite of a transaction. A second reversal of it is refused."""
    return _posting(f"/v1/transactions/{transaction_id}/reversal", Transaction, _given(metadata=metadata), key)


def hold(
    account_id: UUID,
    amount: Money,
    *,
    destination_id: UUID | None = None,
    expires_in: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Operation[Hold]:
    """Set `amount` aside, for `expires_in` seconds where given. `destination_id` is who gets it once it is captured."""
    body = _money(amount) | {"account_id": str(account_id)}
    body |= _given(destination_id=_text(destination_id), expires_in=expires_in, metadata=metadata)
    return _posting("/v1/holds", Hold, body, key)


def capture(hold_id: UUID, *, amount: int | None = None, key: str | None = None) -> Operation[Hold]:
    """Take what was set aside, or `amount` minor units of it; the rest is free again."""
    return _posting(f"/v1/holds/{hold_id}/capture", Hold, _given(amount=amount), key)


def release(hold_id: UUID, *, key: str | None = None) -> Operation[Hold]:
    """Give back what was set aside."""
    return _posting(f"/v1/holds/{hold_id}/release", Hold, {}, key)


def get_account(account_id: UUID) -> Operation[Account]:
    """Read an account as it is now."""
    return Operation("GET", f"/v1/accounts/{account_id}", Account)


def get_balance(account_id: UUID, at: datetime) -> Operation[Balance]:
    """Read what the balance was at a moment."""
    return Operation("GET", f"/v1/accounts/{account_id}/balance", Balance, {"at": str(_text(at))})


def get_transaction(transaction_id: UUID) -> Operation[Transaction]:
    """Read a transaction."""
    return Operation("GET", f"/v1/transactions/{transaction_id}", Transaction)


def get_hold(hold_id: UUID) -> Operation[Hold]:
    """Read a hold."""
    return Operation("GET", f"/v1/holds/{hold_id}", Hold)


def get_health() -> Operation[Health]:
    """Read the ledger's health."""
    return Operation("GET", "/health", Health)


def accounts(
    *, currency: str | None = None, status: str | None = None, kind: str | None = None, limit: int = 100
) -> Pages[Account]:
    """List accounts, `limit` to a page."""
    query = _given(currency=currency, status=status, kind=kind, limit=str(limit))
    return Pages("/v1/accounts", answers.AccountPage, query)


def history(account_id: UUID, *, limit: int = 100) -> Pages[answers.HistoryEntry]:
    """List what happened to an account, `limit` entries to a page."""
    return Pages(f"/v1/accounts/{account_id}/entries", answers.HistoryPage, {"limit": str(limit)})


def view_balances(
    *, currency: str | None = None, min_version: int | None = None, limit: int = 100
) -> Pages[answers.ViewBalance]:
    """List balances of the read model, `limit` to a page."""
    query = _given(currency=currency, min_version=_text(min_version), limit=str(limit))
    return Pages("/v1/views/balances", answers.ViewBalancePage, query)


def statement(
    account_id: UUID,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    min_version: int | None = None,
    limit: int = 100,
) -> Pages[answers.StatementLine]:
    """List an account's statement in the read model, oldest first, `limit` lines to a page.

    `since` and `until` bound the time of posting. `min_version` waits for that version of the account, so that a caller
    reads what it has just posted; the API answers `read_model_behind` where the read model does not reach it in time.
    """
    bounds = _given(**{"from": _text(since), "to": _text(until), "min_version": _text(min_version)})
    path = f"/v1/views/accounts/{account_id}/statement"
    return Pages(path, answers.StatementPage, {**bounds, "limit": str(limit)})


def get_trial_balance() -> Operation[answers.TrialBalance]:
    """Read the trial balance of the read model: the sums of each currency."""
    return Operation("GET", "/v1/views/trial-balance", answers.TrialBalance)


def _posting(path: str, answer: type[T], body: Mapping[str, Any], key: str | None) -> Operation[T]:
    return Operation("POST", path, answer, {}, body, key or _new_key())


def _new_key() -> str:
    return uuid.uuid4().hex


def _money(amount: Money) -> dict[str, Any]:
    return {"amount": amount.minor_units, "currency": amount.currency}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: UUID | datetime | int | None) -> str | None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; say which one, as in datetime.now(UTC)")
        return value.isoformat()
    return None if value is None else str(value)
