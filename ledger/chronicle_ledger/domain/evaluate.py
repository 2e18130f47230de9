"""The rules of the ledger: a book, a command and a clock's reading give an outcome or a refusal. No I/O, no state.

The order of checks is fixed, so that every replica and every retry refuses for the same reason: existence, currency,
balance of the entries, status, expected versions, then range and funds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chronicle_ledger.domain.amounts import MAX_AMOUNT, require_amount
from chronicle_ledger.domain.book import Book, Outcome
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
from chronicle_ledger.domain.errors import (
    AlreadyReversed,
    AmountOutOfRange,
    CurrencyMismatch,
    DuplicateAccount,
    NotReversible,
    TransactionNotFound,
    Unbalanced,
)
from chronicle_ledger.domain.holds import capture_hold, place_hold, release_hold
from chronicle_ledger.domain.movement import Change, account_in, require_open, require_versions, settle
from chronicle_ledger.domain.opening import open_account, update_account
from chronicle_ledger.domain.outside import complete
from chronicle_ledger.domain.transaction import TransactionKind

REVERSIBLE = frozenset(
    {
        TransactionKind.TRANSFER,
        TransactionKind.DEPOSIT,
        TransactionKind.WITHDRAWAL,
        TransactionKind.JOURNAL,
        TransactionKind.CAPTURE,
    }
)


def check(command: Command) -> None:
    """Refuse what no state of the ledger could allow, before anything is read."""
    if isinstance(command, PostEntries):
        seen = set()
        for leg in command.legs:
            if leg.account_id in seen:
                raise DuplicateAccount(
                    f"Account {leg.account_id} appears twice; give one entry with the sum.",
                    account_id=str(leg.account_id),
                )
            seen.add(leg.account_id)
            if leg.amount == 0 or not -MAX_AMOUNT <= leg.amount <= MAX_AMOUNT:
                raise AmountOutOfRange(
                    f"An amount is between 1 and {MAX_AMOUNT} minor units, either way.", amount=leg.amount
                )
        alone = command.kind in (TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL)
        if len(command.legs) < (1 if alone else 2):
            raise Unbalanced("A transaction has at least two entries.")
    elif isinstance(command, PlaceHold) or (isinstance(command, CaptureHold) and command.amount is not None):
        require_amount(command.amount or 0)


def post_entries(book: Book, command: PostEntries, now: datetime) -> Outcome:
    """Post a transfer, deposit, withdrawal or journal. Entries sum to zero in each currency."""
    legs = complete(book, command)
    sums: dict[str, int] = {}
    changes = []
    for leg in legs:
        account = account_in(book, leg.account_id)
        if leg.currency is not None and leg.currency != account.currency:
            raise CurrencyMismatch(
                f"Account {account.id} is in {account.currency}, not {leg.currency}.",
                account_id=str(account.id),
                currency=account.currency,
            )
        sums[account.currency] = sums.get(account.currency, 0) + leg.amount
        changes.append(Change(account, leg.amount))
    for currency, total in sums.items():
        if total != 0:
            if command.kind is not TransactionKind.JOURNAL and len(sums) > 1:
                raise CurrencyMismatch("The accounts are in different currencies.", currencies=sorted(sums))
            raise Unbalanced(f"The entries in {currency} sum to {total}, not to zero.", currency=currency, sum=total)
    for change in changes:
        require_open(change.account)
    require_versions(book, command)
    return settle(book, command, command.kind, changes, now)


def reverse(book: Book, command: Reverse, now: datetime) -> Outcome:
    """Post the opposite of a transaction, once."""
    target = book.targets.get(command.transaction_id) or book.transactions.get(command.transaction_id)
    if target is None:
        raise TransactionNotFound(
            f"There is no transaction {command.transaction_id}.", transaction_id=str(command.transaction_id)
        )
    if target.kind not in REVERSIBLE:
        raise NotReversible(f"A transaction of kind {target.kind.value} cannot be reversed.", kind=target.kind.value)
    # First: a reversal that was read without the locks of its accounts may be what this very command has just posted on
    # another replica.
    changes = [Change(account_in(book, e.account_id), -e.amount) for e in target.entries if e.amount]
    if target.id in book.reversals:
        raise AlreadyReversed(
            f"Transaction {target.id} is reversed already.",
            transaction_id=str(target.id),
            reversal_id=str(book.reversals[target.id]),
        )
    for change in changes:
        require_open(change.account)
    require_versions(book, command)
    return settle(book, command, TransactionKind.REVERSAL, changes, now, reverses=target.id)


_RULES: dict[type[Command], Callable[[Book, Any, datetime], Outcome]] = {
    PostEntries: post_entries,
    Reverse: reverse,
    OpenAccount: open_account,
    UpdateAccount: update_account,
    PlaceHold: place_hold,
    CaptureHold: capture_hold,
    ReleaseHold: release_hold,
}


def evaluate(book: Book, command: Command, now: datetime) -> Outcome:
    """What `command` does to `book` at `now` (UTC). Does not change the book.

    Raises the LedgerError that says why it cannot be, or NotLoaded when the book lacks an account that it needs.
    Replays are the caller's to find first: `Book.replay`.
    """
    return _RULES[type(command)](book, command, now)
