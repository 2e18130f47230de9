"""Opening accounts and changing what is not money. Both are transactions, so that an account's history is whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from chronicle_ledger.domain.account import Account, AccountStatus
from chronicle_ledger.domain.book import Book, NotLoaded, Outcome
from chronicle_ledger.domain.commands import OpenAccount, Unset, UpdateAccount
from chronicle_ledger.domain.errors import AccountClosed, AccountExists, AccountNotEmpty
from chronicle_ledger.domain.hashing import GENESIS
from chronicle_ledger.domain.movement import Change, account_in, require_swept, require_versions, settle
from chronicle_ledger.domain.outside import missing_outside
from chronicle_ledger.domain.transaction import TransactionKind


def open_account(book: Book, command: OpenAccount, now: datetime) -> Outcome:
    """Open an account at version 1, with the outside-world accounts of its currency where they are missing.

    A floor above 0 is refused as insufficient funds, since the account starts empty.
    """
    if command.account_id not in book.loaded:
        raise NotLoaded([command.account_id])
    if command.account_id in book.accounts:
        raise AccountExists(f"Account {command.account_id} exists already.", account_id=str(command.account_id))
    account = Account(
        id=command.account_id,
        currency=command.currency,
        kind=command.kind,
        balance=0,
        held=0,
        floor=command.floor,
        version=0,
        status=AccountStatus.OPEN,
        head=GENESIS,
        created_at=now,
        updated_at=now,
        metadata=command.metadata,
    )
    outside = [missing for missing in missing_outside(book, account) if missing.id != account.id]
    details = {
        "account_id": str(account.id),
        "currency": account.currency,
        "kind": account.kind.value,
        "floor": account.floor,
        "status": account.status.value,
        "metadata": dict(account.metadata),
    }
    changes = [Change(opened) for opened in (account, *outside)]
    return settle(book, command, TransactionKind.ACCOUNT_OPENED, changes, now, details=details)


def update_account(book: Book, command: UpdateAccount, now: datetime) -> Outcome:
    """Change status, floor or metadata. A closed account stays closed; only an empty one can be closed."""
    account = account_in(book, command.account_id)
    if account.status is AccountStatus.CLOSED:
        raise AccountClosed(f"Account {account.id} is closed for good.", account_id=str(account.id))
    require_versions(book, command)
    details: dict[str, Any] = {"account_id": str(account.id)}
    if not isinstance(command.status, Unset):
        if command.status is AccountStatus.CLOSED and (account.balance or account.held):
            require_swept(book, account)
            raise AccountNotEmpty(
                f"Account {account.id} still has money; bring balance and held to 0 before closing it.",
                account_id=str(account.id),
                balance=account.balance,
                held=account.held,
            )
        account = replace(account, status=command.status)
        details["status"] = command.status.value
    if not isinstance(command.floor, Unset):
        account = replace(account, floor=command.floor)
        details["floor"] = command.floor
    if not isinstance(command.account_metadata, Unset):
        account = replace(account, metadata=command.account_metadata)
        details["metadata"] = dict(command.account_metadata)
    return settle(book, command, TransactionKind.ACCOUNT_UPDATED, [Change(account)], now, details=details)
