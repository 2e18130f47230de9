"""Which rows a command touches, as far as it is known before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chronicle_ledger.domain.account import system_account_id, system_account_ids
from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.commands import (
    CaptureHold,
    Command,
    OpenAccount,
    PlaceHold,
    PostEntries,
    ReleaseHold,
    Reverse,
    UpdateAccount,
)
from chronicle_ledger.domain.transaction import TransactionKind


@dataclass(slots=True)
class Facts:
    """What never changes once true, remembered so that a command's accounts are mostly known before it is read.

    A fact that is missing costs a second pass, never a wrong answer: the evaluation asks for what it lacks.
    """

    limit: int = 50_000
    currency_of: MutableMapping[UUID, str] = field(default_factory=dict)
    hold_parties: MutableMapping[UUID, tuple[UUID, UUID | None]] = field(default_factory=dict)
    currencies: set[str] = field(default_factory=set)
    keys_known: bool = False
    keys_shared_until: datetime | None = None

    @property
    def former_keys(self) -> bool:
        """Whether a key may have been used when keys were common to all callers, as far as known."""
        return not self.keys_known or self.keys_shared_until is not None

    def learn(self, book: Book, account_ids: Iterable[UUID] = ()) -> None:
        """Remember what a loaded book shows of its holds and of `account_ids`.

        Forgets everything when full; it is a cache of what can be read again.
        """
        for memory in (self.currency_of, self.hold_parties):
            if len(memory) > self.limit:
                memory.clear()
        for account_id in account_ids:
            account = book.accounts.get(account_id)
            if account is not None:
                self.currency_of[account_id] = account.currency
        for hold in book.holds.values():
            self.hold_parties[hold.id] = (hold.account_id, hold.destination_id)


def accounts_of(command: Command, facts: Facts) -> set[UUID]:
    """The accounts to lock for `command`: a superset is harmless, a missing one is asked for by the evaluation."""
    ids = set(command.expected_versions)
    if isinstance(command, PostEntries):
        ids.update([leg.account_id for leg in command.legs])
        if len(command.legs) == 1 and command.kind in (TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL):
            leg = command.legs[0]
            currency = facts.currency_of.get(leg.account_id)
            if currency is not None:
                ids.add(system_account_id(currency, leg.account_id))
    elif isinstance(command, OpenAccount):
        ids.add(command.account_id)
        if command.former_id is not None and facts.former_keys:
            # Whoever opens an account under this key, by whichever of the two ids, meets here: both may give the
            # account an id of its own, and then share no other row.
            ids.add(system_account_id(command.currency, command.former_id))
        if command.currency not in facts.currencies:
            ids.update(system_account_ids(command.currency))
    elif isinstance(command, UpdateAccount):
        ids.add(command.account_id)
    elif isinstance(command, PlaceHold):
        ids.add(command.account_id)
        if command.destination_id is not None:
            ids.add(command.destination_id)
    elif isinstance(command, CaptureHold | ReleaseHold):
        parties = facts.hold_parties.get(command.hold_id)
        if parties is not None:
            ids.update(_capture_accounts(command, parties, facts))
    return ids


def _capture_accounts(command: CaptureHold | ReleaseHold, parties: tuple[UUID, UUID | None], facts: Facts) -> set[UUID]:
    account_id, destination_id = parties
    if isinstance(command, ReleaseHold):
        return {account_id}
    destination_id = command.destination_id or destination_id
    if destination_id is None:
        currency = facts.currency_of.get(account_id)
        return {account_id} if currency is None else {account_id, system_account_id(currency, account_id)}
    return {account_id, destination_id}


def hold_of(command: Command) -> UUID | None:
    """The hold to load for `command`: the one it ends."""
    return command.hold_id if isinstance(command, CaptureHold | ReleaseHold) else None


def target_of(command: Command) -> UUID | None:
    """The transaction to load for `command`: the one it reverses."""
    return command.transaction_id if isinstance(command, Reverse) else None
