"""Turning changes of accounts into a sealed transaction. Every rule about one account's state is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.account import Account, AccountStatus
from chronicle_ledger.domain.amounts import BALANCE_LIMIT, MAX_BALANCE, MIN_BALANCE, has_room
from chronicle_ledger.domain.book import Book, NotLoaded, Outcome
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import (
    AccountClosed,
    AccountFrozen,
    AccountNotFound,
    BalanceOutOfRange,
    InsufficientFunds,
    VersionConflict,
)
from chronicle_ledger.domain.hashing import transaction_hash
from chronicle_ledger.domain.transaction import Entry, Hold, Transaction, TransactionKind


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one account: the account as it becomes but for money, and how money moves (minor units)."""

    account: Account
    amount: int = 0
    held: int = 0


def account_in(book: Book, account_id: UUID) -> Account:
    """The account, or AccountNotFound; NotLoaded where the book never asked for it."""
    account = book.accounts.get(account_id)
    if account is None:
        if account_id not in book.loaded:
            raise NotLoaded([account_id])
        raise AccountNotFound(f"There is no account {account_id}.", account_id=str(account_id))
    return account


def require_open(account: Account) -> None:
    """Raise AccountFrozen or AccountClosed unless the account takes postings."""
    if account.status is AccountStatus.OPEN:
        return
    if account.status is AccountStatus.FROZEN:
        raise AccountFrozen(f"Account {account.id} is frozen.", account_id=str(account.id))
    raise AccountClosed(f"Account {account.id} is closed.", account_id=str(account.id))


def require_versions(book: Book, command: Command) -> None:
    """Raise VersionConflict unless each account is at the version that the caller expects."""
    for account_id, expected in command.expected_versions.items():
        account = account_in(book, account_id)
        if account.version != expected:
            raise VersionConflict(
                f"Account {account_id} is at version {account.version}, not {expected}; read it again.",
                account_id=str(account_id),
                expected_version=expected,
                version=account.version,
            )


def require_swept(book: Book, account: Account) -> None:
    """Raise NotLoaded unless nothing that is over counts as held any more: then what is held decides a refusal."""
    if account.held and account.id not in book.swept:
        raise NotLoaded(ended_on=[account.id])


def _too_far(account: Account, what: str, value: int) -> BalanceOutOfRange:
    return BalanceOutOfRange(
        f"The {what} of account {account.id} would be {value}; a balance stays within {BALANCE_LIMIT} of zero, and what"
        " is held or available within 64 bits.",
        account_id=str(account.id),
        limit=BALANCE_LIMIT,
    )


def moment_of(changes: Sequence[Change], now: datetime) -> datetime:
    """When `changes` are posted: `now`, or the accounts' last change where that is later.

    Time never runs backwards on an account, whatever the clocks of several databases say.
    """
    posted_at = now
    for change in changes:
        if change.account.updated_at > posted_at:
            posted_at = change.account.updated_at
    return posted_at


def _after(book: Book, change: Change) -> tuple[Entry, int, int]:
    account = change.account
    balance = account.balance + change.amount
    held = account.held + change.held
    if change.amount and not has_room(account.balance, change.amount):
        raise _too_far(account, "balance", balance)
    if held > MAX_BALANCE or balance - held < MIN_BALANCE:
        require_swept(book, account)
        raise _too_far(account, "held amount", held)
    floor = account.floor
    if floor is not None and balance - held < floor and book.enforce_floors:
        require_swept(book, account)
        raise _under(floor, change)
    entry = Entry(
        account.id,
        account.currency,
        account.version + 1,
        change.amount,
        change.held,
        balance,
        held,
        account.head,
    )
    return entry, balance, held


def _under(floor: int, change: Change) -> InsufficientFunds:
    """The refusal of a change that would break `floor`: by taking money, or by a floor above what there is.

    Its figures: `available` as on the account, `required` what the change takes of it (0 where only the floor moves).
    """
    account = change.account
    required = change.held - change.amount
    if required:
        message = (
            f"Account {account.id} has {account.available} available; taking {required} would leave it under its"
            f" floor of {floor}."
        )
    else:
        message = (
            f"A floor of {floor} is more than the {account.available} that account {account.id} has available;"
            f" give one of {account.available} or less."
        )
    return InsufficientFunds(
        message, account_id=str(account.id), available=account.available, required=required, floor=floor
    )


def settle(
    book: Book,
    command: Command,
    kind: TransactionKind,
    changes: Sequence[Change],
    now: datetime,
    *,
    details: Mapping[str, Any] | None = None,
    reverses: UUID | None = None,
    hold: Hold | None = None,
) -> Outcome:
    """Seal `changes` into one transaction, or raise InsufficientFunds or BalanceOutOfRange.

    Raises NotLoaded where holds that are over decide whether there is enough.
    """
    changes = sorted(changes, key=lambda change: change.account.id.int)
    posted_at = moment_of(changes, now)
    settled = [_after(book, change) for change in changes]
    entries = tuple([entry for entry, _, _ in settled])
    effective_at = command.effective_at or posted_at
    details = {} if details is None else details
    hold_id = None if hold is None else hold.id
    seal = transaction_hash(
        id=command.id,
        fingerprint=command.fingerprint,
        kind=kind,
        entries=entries,
        effective_at=effective_at,
        posted_at=posted_at,
        metadata=command.metadata,
        details=details,
        reverses=reverses,
        hold_id=hold_id,
        posted_by=command.posted_by,
    )
    transaction = Transaction(
        command.id,
        command.fingerprint,
        kind,
        entries,
        effective_at,
        posted_at,
        seal,
        command.metadata,
        details,
        reverses,
        hold_id,
        command.posted_by,
    )
    accounts = tuple(
        [
            Account(
                change.account.id,
                change.account.currency,
                change.account.kind,
                balance,
                held,
                change.account.floor,
                entry.version,
                change.account.status,
                seal,
                change.account.created_at if change.account.version else posted_at,
                posted_at,
                change.account.metadata,
            )
            for change, (entry, balance, held) in zip(changes, settled, strict=True)
        ]
    )
    return Outcome(transaction, accounts, hold)
