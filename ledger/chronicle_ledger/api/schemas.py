"""What callers send. Amounts are integers of minor units; nothing is coerced, nothing unknown is let through."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chronicle_contract.money import CURRENCY
from chronicle_contract.money import LARGEST_AMOUNT as LARGEST
from chronicle_ledger.web.times import Instant

DAYS = 86_400

Amount = Annotated[int, Meta(ge=1, le=LARGEST, description="Minor units (cents), an integer.")]
SignedAmount = Annotated[
    int, Meta(ge=-LARGEST, le=LARGEST, description="Minor units, signed: positive adds to the account, never 0.")
]
Floor = Annotated[int, Meta(ge=-LARGEST, le=LARGEST, description="Lowest balance allowed, in minor units.")]
# (?!\n): Python lets $ match before a last line break, JSON Schema does not, so the document leaves it out.
Currency = Annotated[
    str,
    Meta(pattern=f"^{CURRENCY}(?!\\n)$", description="ISO 4217 code, or another of 3 to 16 letters and digits."),
]
Version = Annotated[int, Meta(ge=0, le=LARGEST, description="The version the caller last saw.")]
Moment = Annotated[Instant, Meta(description="RFC 3339 time with an offset and up to six digits of a fraction.")]
Metadata = Annotated[
    dict[str, Any],
    Meta(description="Free JSON object of up to 16 KiB and 8 levels; numbers in it are integers up to 2^53 - 1."),
]


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all bodies."""


class OpenAccountRequest(Request, frozen=True, kw_only=True):
    """Open an account."""

    currency: Currency
    floor: Floor | None = 0
    metadata: Metadata = msgspec.field(default_factory=dict)
    id: UUID | None = None


class UpdateAccountRequest(Request, frozen=True, kw_only=True):
    """Change an account; what is left out stays. Metadata is replaced as a whole."""

    status: Literal["open", "frozen", "closed"] | UnsetType = UNSET
    floor: Floor | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    # Left out of the canonical body where it is not given, as it was before there was such a member.
    expected_version: Version | UnsetType | None = UNSET


class Posting(Request, frozen=True, kw_only=True):
    """What every posting may carry."""

    metadata: Metadata = msgspec.field(default_factory=dict)
    effective_at: Moment | None = None


class TransferRequest(Posting, frozen=True, kw_only=True):
    """Move money from one account to another of the same currency."""

    source: UUID
    destination: UUID
    amount: Amount
    currency: Currency | None = None
    expected_version: Version | None = None


class CashRequest(Posting, frozen=True, kw_only=True):
    """Take money in from, or pay it out to, the world outside the ledger."""

    amount: Amount
    currency: Currency | None = None
    expected_version: Version | None = None


class EntryRequest(Request, frozen=True, kw_only=True):
    """One line of a journal."""

    account_id: UUID
    amount: SignedAmount
    currency: Currency | None = None
    expected_version: Version | None = None


class JournalRequest(Posting, frozen=True, kw_only=True):
    """Two or more lines, in one or several currencies, that sum to zero in each; an account appears once."""

    entries: Annotated[list[EntryRequest], Meta(min_length=2, max_length=500)]


Key = Annotated[str, Meta(min_length=1, max_length=255)]


class BatchTransfer(TransferRequest, frozen=True, kw_only=True, tag_field="type", tag="transfer"):
    """A transfer in a batch."""

    idempotency_key: Key


class BatchDeposit(CashRequest, frozen=True, kw_only=True, tag_field="type", tag="deposit"):
    """A deposit in a batch."""

    idempotency_key: Key
    account_id: UUID


class BatchWithdrawal(CashRequest, frozen=True, kw_only=True, tag_field="type", tag="withdrawal"):
    """A withdrawal in a batch."""

    idempotency_key: Key
    account_id: UUID


class BatchJournal(JournalRequest, frozen=True, kw_only=True, tag_field="type", tag="journal"):
    """A journal in a batch."""

    idempotency_key: Key


BatchItem = BatchTransfer | BatchDeposit | BatchWithdrawal | BatchJournal


class BatchRequest(Request, frozen=True, kw_only=True):
    """Up to 1,000 postings. `atomic`: all or none; otherwise each for itself."""

    transactions: Annotated[list[BatchItem], Meta(min_length=1, max_length=1000)]
    atomic: bool


class HoldRequest(Request, frozen=True, kw_only=True):
    """Set money aside: it stays in the balance, but is no longer available."""

    account_id: UUID
    amount: Amount
    currency: Currency | None = None
    destination_id: UUID | None = None
    expires_in: Annotated[int, Meta(ge=1, le=366 * DAYS, description="Seconds until it is given back.")] | None = None
    expected_version: Version | None = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class CaptureRequest(Posting, frozen=True, kw_only=True):
    """Take a hold, in part or whole; what is left is given back."""

    amount: Amount | None = None
    destination_id: UUID | None = None


class PlainRequest(Posting, frozen=True, kw_only=True):
    """A posting that needs nothing more said (release, reversal)."""
