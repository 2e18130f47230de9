"""Rows of the read model as values. Amounts are minor units of the account's currency."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """One entry on its way into the read model. `source` numbers the message that brought it, None for one that was
    read from the ledger."""

    account_id: UUID
    currency: str
    version: int
    amount: int
    held: int
    balance_after: int
    held_after: int
    txn_id: UUID
    kind: str
    effective_at: datetime
    posted_at: datetime
    posted_by: str | None = None
    source: int | None = None

    def same_money(self, other: ViewEntry) -> bool:
        """Whether both say the same of the account, whoever brought them."""
        return (self.txn_id, self.version, self.amount, self.held, self.balance_after, self.held_after) == (
            other.txn_id, other.version, other.amount, other.held, other.balance_after, other.held_after
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ViewState:
    """What the read model says of an account before a batch; version 0 where it does not know it."""

    version: int = 0
    balance: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a batch adds to the projection's position. `pending` messages were waiting behind its last one."""

    stream_sequence: int
    pending: int
    posted_at: datetime | None
    applied: int = 0
    skipped: int = 0
    gaps: int = 0
    dead: int = 0


@dataclass(slots=True)
class Projection:
    """What to write: for each account its new entries in order of version. `skipped` entries were known before."""

    applied: dict[UUID, list[ViewEntry]] = field(default_factory=dict)
    skipped: int = 0

    @property
    def entries(self) -> int:
        """How many entries are new."""
        return sum(len(own) for own in self.applied.values())

    @property
    def sources(self) -> set[int]:
        """The messages that brought any of them."""
        return {entry.source for own in self.applied.values() for entry in own if entry.source is not None}
