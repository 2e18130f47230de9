"""What a caller may ask of the ledger. Every command carries the transaction id that its idempotency key decides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.transaction import TransactionKind

CHRONICLE = "chronicle"
"""The subject of what the service posts itself, such as the end of a hold."""

ANYONE = "anyone"
"""The subject of every caller where no keys are set."""

KEY_NAMESPACE = UUID("0d8a9c2b-61d0-5c3f-8f0c-6f7f3c8b2a55")


class Unset:
    """The type of `UNSET`: a field of an update that the caller did not send."""


UNSET = Unset()


def transaction_id(tenant: str, subject: str, method: str, path: str, key: str) -> UUID:
    """The primary key that an idempotency key decides, so that a retry meets its own first attempt in the database.

    The key belongs to the caller: the same key of another subject is another transaction.
    """
    return uuid5(KEY_NAMESPACE, f"{tenant}\x00{subject}\x00{method}\x00{path}\x00{key}")


def shared_transaction_id(tenant: str, method: str, path: str, key: str) -> UUID:
    """The same as it was when keys were common to all callers."""
    return uuid5(KEY_NAMESPACE, f"{tenant}\x00{method}\x00{path}\x00{key}")


def fingerprint(body: bytes) -> bytes:
    """The SHA-256 of a request's canonical body (32 bytes): the same key with another fingerprint is refused."""
    return hashlib.sha256(body).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands share. `posted_by` is the caller's subject; `expected_versions` maps an account to the version
    that the caller last saw. `former_id` is the id that the same key decided while keys were common to all callers."""

    id: UUID
    fingerprint: bytes
    posted_by: str
    former_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    effective_at: datetime | None = None
    expected_versions: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount(Command):
    """Open an account (its id is `account_id`); its currency's outside-world accounts are opened with it."""

    account_id: UUID
    currency: str
    floor: int | None = 0
    kind: AccountKind = AccountKind.CUSTOMER


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAccount(Command):
    """Change what is not money: status, floor, metadata. Fields left `UNSET` stay as they are."""

    account_id: UUID
    status: AccountStatus | Unset = UNSET
    floor: int | Unset | None = UNSET
    account_metadata: Mapping[str, Any] | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Leg:
    """One intended entry: `amount` in signed minor units; `currency` None means the account's own."""

    account_id: UUID
    amount: int
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEntries(Command):
    """Move money: a transfer, a deposit, a withdrawal, or a journal of many legs in several currencies."""

    kind: TransactionKind
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHold(Command):
    """Set `amount` minor units of an account aside; the hold's id is the command's id.

    `lasts` counts from the moment of posting; None means until it is captured or released.
    """

    account_id: UUID
    amount: int
    currency: str | None = None
    destination_id: UUID | None = None
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureHold(Command):
    """Take a pending hold, in part or whole (`amount` None); the rest is released.

    The money goes to `destination_id`, else to the hold's destination, else to the outside world.
    """

    hold_id: UUID
    amount: int | None = None
    destination_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold(Command):
    """Give a pending hold back; `expired` marks that its time, not a caller, ended it."""

    hold_id: UUID
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Command):
    """Post the opposite of a transaction, once. Transfers, deposits, withdrawals, journals and captures reverse."""

    transaction_id: UUID
