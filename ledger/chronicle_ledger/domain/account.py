"""An account: a balance in one currency, with a floor it never goes under and a version that never skips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

SYSTEM_NAMESPACE = UUID("6b1c3c1e-6a0f-5d5e-9f53-0c7a5a1f6a11")
"""Namespace of the accounts that stand for the world outside the ledger."""

SYSTEM_ACCOUNTS_PER_CURRENCY = 8
"""The outside world is several accounts a currency, so that deposits to different accounts rarely meet on one row."""


class AccountStatus(StrEnum):
    """What an account may still do: `frozen` and `closed` accounts refuse every posting."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class AccountKind(StrEnum):
    """Whether an account belongs to a customer or stands for the world outside (one side of every deposit)."""

    CUSTOMER = "customer"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Account:
    """One account as of `version`.

    `balance`, `held` and `floor` are minor units of `currency`. `balance - held >= floor` always holds; a floor of
    None means that the account may go as low as it likes. `version` is the number of entries ever written to the
    account: opening it writes entry 1. `head` is the hash of the last transaction that touched it (32 bytes).
    """

    id: UUID
    currency: str
    kind: AccountKind
    balance: int
    held: int
    floor: int | None
    version: int
    status: AccountStatus
    head: bytes
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def available(self) -> int:
        """What may still be spent or held, in minor units: the balance less what is held."""
        return self.balance - self.held


def system_account_id(currency: str, counterpart: UUID) -> UUID:
    """The outside-world account that faces `counterpart` in deposits and withdrawals of `currency`."""
    return system_account_ids(currency)[counterpart.int % SYSTEM_ACCOUNTS_PER_CURRENCY]


def system_account_ids(currency: str) -> tuple[UUID, ...]:
    """All outside-world accounts of `currency`, in a stable order."""
    return tuple(uuid5(SYSTEM_NAMESPACE, f"{currency}/{shard}") for shard in range(SYSTEM_ACCOUNTS_PER_CURRENCY))
