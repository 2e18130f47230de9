"""What was loaded for a batch, and what each command made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import IdempotencyKeyReused
from chronicle_ledger.domain.transaction import Hold, Transaction


class NotLoaded(Exception):
    """Evaluating a command needs rows that were not loaded with it; load them too, and try again.

    `account_ids` are accounts: which ones a capture, a reversal or a deposit touches is known only once its hold, its
    target or its account has been read. `ended_on` are accounts whose holds that are over have to be expired first:
    they are looked for only where they decide. Not a refusal.
    """

    def __init__(self, account_ids: Iterable[UUID] = (), *, ended_on: Iterable[UUID] = ()) -> None:
        self.account_ids = frozenset(account_ids)
        self.ended_on = frozenset(ended_on)
        super().__init__(f"not loaded: {', '.join(map(str, self.account_ids | self.ended_on))}")


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
    `currencies` are those whose outside-world accounts are known to exist. `swept` are the accounts on which no hold is
    over and still pending. `keys_shared_until` is when idempotency keys cease to be common to all callers (None: they
    never were in this ledger).
    """

    accounts: dict[UUID, Account] = field(default_factory=dict)
    loaded: set[UUID] = field(default_factory=set)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    transactions: dict[UUID, Transaction] = field(default_factory=dict)
    targets: dict[UUID, Transaction] = field(default_factory=dict)
    reversals: dict[UUID, UUID] = field(default_factory=dict)
    currencies: set[str] = field(default_factory=set)
    swept: set[UUID] = field(default_factory=set)
    keys_shared_until: datetime | None = None
    enforce_floors: bool = True

    def replay(self, command: Command) -> Transaction | None:
        """What was posted under the command's key already, if anything. Raises IdempotencyKeyReused where that was
        another request."""
        existing = self.transactions.get(command.id) or self._former(command)
        if existing is not None and existing.fingerprint != command.fingerprint:
            raise IdempotencyKeyReused(
                "This idempotency key was used for a different request; use a new key for a new request.",
                transaction_id=str(existing.id),
            )
        return existing

    def _former(self, command: Command) -> Transaction | None:
        """What was posted under the id that the key decided formerly: by this caller, or by one that was not noted."""
        if command.former_id is None or self.keys_shared_until is None:
            return None
        existing = self.transactions.get(command.former_id)
        return existing if existing is not None and existing.posted_by in (None, command.posted_by) else None

    def identified(self, command: Command, now: datetime) -> Command:
        """`command` under the id to post it by: its own, or, as long as keys are shared, the former one.

        So a version of the service that knows the former id alone meets the transaction when it gets the retry. Where
        the former id is taken, it is another caller's.
        """
        former = command.former_id
        if former is None or self.keys_shared_until is None or now >= self.keys_shared_until:
            return command
        return command if former in self.transactions else replace(command, id=former, former_id=None)

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
            swept=set(self.swept),
            keys_shared_until=self.keys_shared_until,
            enforce_floors=self.enforce_floors,
        )
