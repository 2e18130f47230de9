"""What was loaded for a batch, and what each command made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.errors import IdempotencyKeyReused
from chronicle_ledger.domain.transaction import Hold, Transaction


class NotLoaded(Exception):
    """Evaluating a command needs accounts that were not loaded with it; load `account_ids` too, and try again.

    Not a refusal: which accounts a capture, a reversal or a deposit touches is known only once its hold, its target
    or its account has been read.
    """

    def __init__(self, account_ids: Iterable[UUID]) -> None:
        self.account_ids = frozenset(account_ids)
        super().__init__(f"accounts not loaded: {', '.join(map(str, self.account_ids))}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command does: the transaction, the accounts after it, and the hold after it if it changed one."""

    transaction: Transaction
    accounts: tuple[Account, ...]
    hold: Hold | None = None


@dataclass(slots=True)
class Book:
    """Accounts, holds and transactions as locked in the database, changed in memory as commands are evaluated.

    `loaded` are the account ids that were asked for, found or not. `reversals` maps a transaction to its reversal.
    `currencies` are those whose outside-world accounts are known to exist.
    """

    accounts: dict[UUID, Account] = field(default_factory=dict)
    loaded: set[UUID] = field(default_factory=set)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    transactions: dict[UUID, Transaction] = field(default_factory=dict)
    targets: dict[UUID, Transaction] = field(default_factory=dict)
    reversals: dict[UUID, UUID] = field(default_factory=dict)
    currencies: set[str] = field(default_factory=set)
    enforce_floors: bool = True

    def replay(self, transaction_id: UUID, fingerprint: bytes) -> Transaction | None:
        """The transaction already posted under this id, if any. Raises IdempotencyKeyReused for another request."""
        existing = self.transactions.get(transaction_id)
        if existing is not None and existing.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "This idempotency key was used for a different request; use a new key for a new request.",
                transaction_id=str(transaction_id),
            )
        return existing

    def apply(self, outcome: Outcome) -> None:
        """Make `outcome` the state that the next command sees."""
        transaction = outcome.transaction
        self.transactions[transaction.id] = transaction
        for account in outcome.accounts:
            self.accounts[account.id] = account
        if outcome.hold is not None:
            self.holds[outcome.hold.id] = outcome.hold
        if transaction.reverses is not None:
            self.reversals[transaction.reverses] = transaction.id

    def copy(self) -> Book:
        """A book to try commands on without changing this one."""
        return Book(
            accounts=dict(self.accounts),
            loaded=set(self.loaded),
            holds=dict(self.holds),
            transactions=dict(self.transactions),
            targets=dict(self.targets),
            reversals=dict(self.reversals),
            currencies=set(self.currencies),
            enforce_floors=self.enforce_floors,
        )
