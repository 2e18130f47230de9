"""The world outside the ledger: the other side of deposits, withdrawals and captures without a destination."""

from __future__ import annotations

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus, system_account_id, system_account_ids
from chronicle_ledger.domain.book import Book, NotLoaded
from chronicle_ledger.domain.commands import Leg, PostEntries
from chronicle_ledger.domain.movement import account_in
from chronicle_ledger.domain.transaction import TransactionKind


def outside_of(book: Book, account: Account) -> Account:
    """The outside-world account that faces `account`."""
    return account_in(book, system_account_id(account.currency, account.id))


def complete(book: Book, command: PostEntries) -> tuple[Leg, ...]:
    """The legs of `command`; a deposit or withdrawal that names just the customer's account gets its other side."""
    if len(command.legs) > 1 or command.kind not in (TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL):
        return command.legs
    leg = command.legs[0]
    account = account_in(book, leg.account_id)
    return (leg, Leg(system_account_id(account.currency, account.id), -leg.amount, leg.currency))


def missing_outside(book: Book, account: Account) -> list[Account]:
    """The outside-world accounts of `account`'s currency that do not exist yet, at version 0, ready to be opened."""
    if account.currency in book.currencies:
        return []
    ids = system_account_ids(account.currency)
    unknown = [id_ for id_ in ids if id_ not in book.loaded]
    if unknown:
        raise NotLoaded(unknown)
    return [
        Account(
            id=id_,
            currency=account.currency,
            kind=AccountKind.SYSTEM,
            balance=0,
            held=0,
            floor=None,
            version=0,
            status=AccountStatus.OPEN,
            head=account.head,
            created_at=account.created_at,
            updated_at=account.updated_at,
        )
        for id_ in ids
        if id_ not in book.accounts
    ]
