"""Holds: money set aside, then captured in part or whole, released, or expired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid5

from chronicle_ledger.domain.account import Account, AccountStatus
from chronicle_ledger.domain.book import Book, Outcome
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.commands import (
    CHRONICLE,
    KEY_NAMESPACE,
    CaptureHold,
    PlaceHold,
    ReleaseHold,
    fingerprint,
)
from chronicle_ledger.domain.errors import (
    CaptureExceedsHold,
    CurrencyMismatch,
    DuplicateAccount,
    HoldNotFound,
    HoldNotPending,
)
from chronicle_ledger.domain.movement import Change, account_in, moment_of, require_open, require_versions, settle
from chronicle_ledger.domain.outside import outside_of
from chronicle_ledger.domain.transaction import Hold, HoldState, Transaction, TransactionKind

_EXPIRY = fingerprint(b"expiry")


def expiry_of(hold_id: UUID) -> ReleaseHold:
    """The command that expires a hold. Its id follows from the hold's, so all replicas may try: it is posted once."""
    return ReleaseHold(
        id=uuid5(KEY_NAMESPACE, f"expiry\x00{hold_id}"),
        fingerprint=_EXPIRY,
        posted_by=CHRONICLE,
        hold_id=hold_id,
        expired=True,
    )


def place_hold(book: Book, command: PlaceHold, now: datetime) -> Outcome:
    """Set `amount` aside; it stays in the balance but is no longer available."""
    account = account_in(book, command.account_id)
    if command.currency is not None and command.currency != account.currency:
        raise CurrencyMismatch(
            f"Account {account.id} is in {account.currency}, not {command.currency}.",
            account_id=str(account.id),
            currency=account.currency,
        )
    require_open(account)
    if command.destination_id is not None:
        if command.destination_id == account.id:
            raise DuplicateAccount("A hold cannot be captured into the account it is on.", account_id=str(account.id))
        destination = account_in(book, command.destination_id)
        if destination.currency != account.currency:
            raise CurrencyMismatch(
                f"The destination is in {destination.currency}, not {account.currency}.",
                account_id=str(destination.id),
                currency=destination.currency,
            )
    require_versions(book, command)
    change = Change(account, held=command.amount)
    expires_at = None if command.lasts is None else moment_of([change], now) + command.lasts
    hold = Hold(
        id=command.id,
        account_id=account.id,
        destination_id=command.destination_id,
        amount=command.amount,
        captured=0,
        state=HoldState.PENDING,
        expires_at=expires_at,
    )
    details = {
        "amount": command.amount,
        "destination_id": None if command.destination_id is None else str(command.destination_id),
        "expires_at": None if expires_at is None else timestamp(expires_at),
    }
    return settle(book, command, TransactionKind.HOLD, [change], now, details=details, hold=hold)


def as_placed(placed: Transaction) -> Hold:
    """The hold as the transaction of kind `hold` that placed it left it, whatever became of it since."""
    destination_id, expires_at = placed.details["destination_id"], placed.details["expires_at"]
    return Hold(
        id=placed.id,
        account_id=placed.entries[0].account_id,
        destination_id=None if destination_id is None else UUID(destination_id),
        amount=placed.details["amount"],
        captured=0,
        state=HoldState.PENDING,
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )


def _pending(book: Book, command: CaptureHold | ReleaseHold) -> tuple[Hold, Account]:
    """Return the hold and its account. Raises HoldNotFound, HoldNotPending, NotLoaded."""
    hold = book.holds.get(command.hold_id)
    if hold is None:
        raise HoldNotFound(f"There is no hold {command.hold_id}.", hold_id=str(command.hold_id))
    # First: without the lock of its account the hold may be newer than the transactions that were read before it, and
    # have been ended by this very command on another replica.
    account = account_in(book, hold.account_id)
    if hold.state is not HoldState.PENDING:
        raise HoldNotPending(
            f"Hold {hold.id} is {hold.state.value} already.", hold_id=str(hold.id), state=hold.state.value
        )
    return hold, account


def is_over(hold: Hold, now: datetime) -> bool:
    """Whether the hold's time has come, expired already or not."""
    return hold.expires_at is not None and hold.expires_at <= now


def expire_ended(book: Book, holds: Iterable[Hold], now: datetime) -> list[Outcome]:
    """Expire those of `holds` that are pending and over, in the book. What `now` does not reach yet is left alone."""
    outcomes = []
    for hold in holds:
        if is_over(hold, now) and book.holds[hold.id].state is HoldState.PENDING:
            outcome = release_hold(book, expiry_of(hold.id), now)
            book.apply(outcome)
            outcomes.append(outcome)
    return outcomes


def capture_hold(book: Book, command: CaptureHold, now: datetime) -> Outcome:
    """Take part or all of a hold; what is left of it is available again. Past its expiry it cannot be captured."""
    hold, account = _pending(book, command)
    if is_over(hold, now):
        raise HoldNotPending(f"Hold {hold.id} has expired.", hold_id=str(hold.id), state=HoldState.EXPIRED.value)
    amount = hold.amount if command.amount is None else command.amount
    if amount > hold.amount:
        raise CaptureExceedsHold(
            f"Hold {hold.id} is for {hold.amount}; {amount} is more.",
            hold_id=str(hold.id),
            held=hold.amount,
            amount=amount,
        )
    destination_id = command.destination_id or hold.destination_id
    if destination_id == account.id:
        raise DuplicateAccount("A hold cannot be captured into the account it is on.", account_id=str(account.id))
    destination = outside_of(book, account, amount) if destination_id is None else account_in(book, destination_id)
    if destination.currency != account.currency:
        raise CurrencyMismatch(
            f"The destination is in {destination.currency}, not {account.currency}.",
            account_id=str(destination.id),
            currency=destination.currency,
        )
    require_open(account)
    require_open(destination)
    require_versions(book, command)
    changes = [Change(account, -amount, -hold.amount), Change(destination, amount)]
    captured = replace(hold, state=HoldState.CAPTURED, captured=amount)
    return settle(book, command, TransactionKind.CAPTURE, changes, now, hold=captured)


def release_hold(book: Book, command: ReleaseHold, now: datetime) -> Outcome:
    """Give a hold back. Expiry also reaches a frozen account: freezing stops callers, not the end of a promise."""
    hold, account = _pending(book, command)
    if command.expired:
        if not is_over(hold, now):
            raise HoldNotPending(f"Hold {hold.id} has not expired.", hold_id=str(hold.id), state=hold.state.value)
        kind, state = TransactionKind.EXPIRY, HoldState.EXPIRED
    else:
        kind, state = TransactionKind.RELEASE, HoldState.RELEASED
    if not (command.expired and account.status is AccountStatus.FROZEN):
        require_open(account)
    require_versions(book, command)
    ended = replace(hold, state=state)
    return settle(book, command, kind, [Change(account, held=-hold.amount)], now, hold=ended)
