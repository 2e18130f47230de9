"""The world outside the ledger: the other side of deposits, withdrawals and captures without a destination."""

from __future__ import annotations

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus, system_account_ids
from chronicle_ledger.domain.amounts import has_room
from chronicle_ledger.domain.book import Book, NotLoaded
from chronicle_ledger.domain.commands import Leg, PostEntries
from chronicle_ledger.domain.movement import account_in
from chronicle_ledger.domain.transaction import TransactionKind


def outside_of(book: Book, account: Account, amount: int) -> Account:
    """The outside-world account that takes `amount` (signed minor units) for what `account` brings in or out.

    It is the one that faces `account`; where that one has no room, the next that has. Where none has, it is the one
    that faces `account` again, and the posting is refused.
    """
    ids = system_account_ids(account.currency)
    facing = account.id.int % len(ids)
    for id_ in ids[facing:] + ids[:facing]:
        outside = account_in(book, id_)
        if has_room(outside.balance, amount):
            return outside
    return account_in(book, ids[facing])


def complete(book: Book, command: PostEntries) -> tuple[Leg, ...]:
    """The legs of `command`; a deposit or withdrawal that names just the customer's account gets its other side."""
    if len(command.legs) > 1 or command.kind not in (TransactionKind.DEPOSIT, TransactionKind.WITHDRAWAL):
        return command.legs
    leg = command.legs[0]
    account = account_in(book, leg.account_id)
    return (leg, Leg(outside_of(book, account, -leg.amount).id, -leg.amount, leg.currency))


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
