"""What the API answers: the ledger's values as JSON. Times are RFC 3339 in UTC with microseconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.transaction import Entry, Hold, HoldState, Transaction, TransactionKind

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 in hexadecimal; see the hash chain.")]


class AccountAnswer(Struct, frozen=True):
    """An account as of `version`; money in minor units. `available` is balance less what is held."""

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


class AccountPage(Struct, frozen=True):
    """One page of accounts; next_cursor is null on the last."""

    accounts: list[AccountAnswer]
    next_cursor: str | None


class HistoryEntry(EntryAnswer, frozen=True, kw_only=True):
    """One line of an account's history, with its transaction."""

    transaction_id: UUID
    posted_at: Moment


class EntryPage(Struct, frozen=True):
    """One page of an account's entries, oldest first; next_cursor is null on the last."""

    entries: list[HistoryEntry]
    next_cursor: str | None


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


class ProblemAnswer(Struct, frozen=True):
    """RFC 9457. `code` is stable; `instance` is the request's id; more members give the figures of the case."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str


class StatusAnswer(Struct, frozen=True):
    """A probe's answer."""

    status: Literal["ok", "down"]
    reason: str | None = None


def account(value: Account) -> AccountAnswer:
    """An account as it is answered."""
    return AccountAnswer(
        id=value.id,
        currency=value.currency,
        kind=value.kind,
        balance=value.balance,
        held=value.held,
        available=value.available,
        floor=value.floor,
        version=value.version,
        status=value.status,
        metadata=dict(value.metadata),
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


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
