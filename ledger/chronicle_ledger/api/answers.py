"""What the API answers: the ledger's values as JSON. Times are RFC 3339 in UTC with microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.transaction import Entry, Hold, HoldState, Transaction, TransactionKind
from chronicle_ledger.store.reads import Standing, Unreadable

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Subject = Annotated[
    str | None,
    Meta(
        description="Who posted it: the subject of the key; `anyone` where no keys are set, `chronicle` for the service"
        " itself; null for what was posted before subjects were recorded."
    ),
]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 in hexadecimal; see the hash chain.")]


class AccountAnswer(Struct, frozen=True):
    """An account as of `version`; money in minor units. `available` is the balance less what is held.

    A hold that is over no longer counts in `available`; it stays in `held` until its expiry is posted.
    """

    id: UUID
    currency: str
    kind: AccountKind
    balance: int
    held: int
    available: int
    floor: int | None
    version: int
    status: AccountStatus
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment


class EntryAnswer(Struct, frozen=True):
    """One line of a transaction: what it moved, and the account's state after it."""

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int


class TransactionAnswer(Struct, frozen=True):
    """A posted transaction. It never changes."""

    id: UUID
    kind: TransactionKind
    posted_at: Moment
    effective_at: Moment
    posted_by: Subject
    metadata: dict[str, Any]
    details: dict[str, Any]
    reverses: UUID | None
    hold_id: UUID | None
    hash: Hash
    entries: list[EntryAnswer]


class HoldAnswer(Struct, frozen=True):
    """A hold, and the transaction that brought it to this state."""

    id: UUID
    account_id: UUID
    destination_id: UUID | None
    amount: int
    captured: int
    state: HoldState
    expires_at: Moment | None
    transaction: TransactionAnswer | None


class UnreadableItem(Struct, frozen=True, omit_defaults=True):
    """An item of a page whose row is none that a ledger writes: an account by `id`, an entry by `version`. Somebody
    changed the database; `chronicle proof` locates what."""

    code: Literal["row_unreadable"]
    id: UUID | None = None
    version: int | None = None


class AccountPage(Struct, frozen=True, omit_defaults=True):
    """One page of accounts; next_cursor is null on the last. `unreadable` is there where rows cannot be read, and names
    those that `accounts` leaves out."""

    accounts: list[AccountAnswer]
    next_cursor: str | None
    unreadable: list[UnreadableItem] = []


class HistoryEntry(EntryAnswer, frozen=True, kw_only=True):
    """One line of an account's history, with its transaction."""

    transaction_id: UUID
    posted_at: Moment
    posted_by: Subject


class EntryPage(Struct, frozen=True, omit_defaults=True):
    """One page of an account's entries, oldest first; next_cursor is null on the last. `unreadable` is there where rows
    cannot be read, and names those that `entries` leaves out."""

    entries: list[HistoryEntry]
    next_cursor: str | None
    unreadable: list[UnreadableItem] = []


class BalanceAnswer(Struct, frozen=True):
    """An account's balance at a moment, in minor units. Version 0: the account did not exist yet."""

    account_id: UUID
    currency: str
    at: Moment
    balance: int
    held: int
    available: int
    version: int


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """What became of one posting of a batch: the status it would have had alone, and its transaction or problem."""

    status: int
    transaction: TransactionAnswer | None = None
    problem: dict[str, Any] | None = None
    replayed: bool = False


class BatchAnswer(Struct, frozen=True):
    """One result a posting, in the order of the request."""

    results: list[BatchResult]


class StatusAnswer(Struct, frozen=True):
    """A probe's answer."""

    status: Literal["ok", "down"]
    reason: str | None = None


def account(standing: Standing) -> AccountAnswer:
    """An account as it is answered."""
    value = standing.account
    return AccountAnswer(
        id=value.id,
        currency=value.currency,
        kind=value.kind,
        balance=value.balance,
        held=value.held,
        available=standing.available,
        floor=value.floor,
        version=value.version,
        status=value.status,
        metadata=dict(value.metadata),
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


def unreadable(items: Iterable[object]) -> list[UnreadableItem]:
    """Those of a page's items that cannot be read."""
    return [UnreadableItem("row_unreadable", item.id, item.version) for item in items if isinstance(item, Unreadable)]


def entry(value: Entry) -> EntryAnswer:
    """An entry as it is answered."""
    return EntryAnswer(
        value.account_id,
        value.currency,
        value.version,
        value.amount,
        value.held,
        value.balance_after,
        value.held_after,
    )


def transaction(value: Transaction) -> TransactionAnswer:
    """A transaction as it is answered."""
    return TransactionAnswer(
        id=value.id,
        kind=value.kind,
        posted_at=timestamp(value.posted_at),
        effective_at=timestamp(value.effective_at),
        posted_by=value.posted_by,
        metadata=dict(value.metadata),
        details=dict(value.details),
        reverses=value.reverses,
        hold_id=value.hold_id,
        hash=value.hash.hex(),
        entries=[entry(line) for line in value.entries],
    )


def hold(value: Hold, posted: Transaction | None) -> HoldAnswer:
    """A hold as it is answered."""
    return HoldAnswer(
        id=value.id,
        account_id=value.account_id,
        destination_id=value.destination_id,
        amount=value.amount,
        captured=value.captured,
        state=value.state,
        expires_at=None if value.expires_at is None else timestamp(value.expires_at),
        transaction=None if posted is None else transaction(posted),
    )
