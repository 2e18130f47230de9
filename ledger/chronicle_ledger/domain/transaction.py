"""A posted transaction: immutable, with entries that sum to zero in each currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class TransactionKind(StrEnum):
    """What a transaction did. Every change of an account is one, so that versions are dense and history is whole."""

    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_UPDATED = "account_updated"
    TRANSFER = "transfer"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    JOURNAL = "journal"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    EXPIRY = "expiry"
    REVERSAL = "reversal"


class HoldState(StrEnum):
    """A hold is pending until it is captured (in part or whole), released by a caller, or expired by its time."""

    PENDING = "pending"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transaction on one account.

    `amount` moves the balance and `held` moves the held amount, both signed minor units; `balance_after` and
    `held_after` are the account's state after it. `version` is the account's version after it, dense from 1.
    `previous` is the hash of the transaction that wrote the account's entry `version - 1` (32 zero bytes for the
    first): it is derived, not stored, and None where it was not read.
    """

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int
    previous: bytes | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A posted transaction. `id` is derived from its idempotency key; `hash` covers it and what came before it.

    `details` holds what a kind needs beyond entries: for `account_opened` and `account_updated` the status, floor
    and metadata that were set; for `hold` the destination and the expiry. `posted_by` is the subject of the caller's
    key, `anyone` where no keys are set, `chronicle` for what the service posts itself, and None for what was posted
    before subjects were recorded.
    """

    id: UUID
    fingerprint: bytes
    kind: TransactionKind
    entries: tuple[Entry, ...]
    effective_at: datetime
    posted_at: datetime
    hash: bytes
    metadata: Mapping[str, Any]
    details: Mapping[str, Any]
    reverses: UUID | None = None
    hold_id: UUID | None = None
    posted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The state of a hold. `amount` and `captured` are minor units of the account's currency."""

    id: UUID
    account_id: UUID
    destination_id: UUID | None
    amount: int
    captured: int
    state: HoldState
    expires_at: datetime | None
