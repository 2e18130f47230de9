"""Accepting writes without a database: what a ledger must never do, for the control that turns rejection off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.book import Book, NotLoaded
from chronicle_ledger.domain.commands import Command, PostEntries
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.evaluate import evaluate
from chronicle_ledger.domain.hashing import GENESIS
from chronicle_ledger.posting.work import Posted, Result, Results, Work

_PLENTY = 10**12


class Pretence:
    """Makes accounts up and posts to them in memory; nothing is ever stored."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._book = Book()

    def accept(self, work: Work) -> Results:
        """Answer as if posted."""
        return [self._one(command) for command in work.commands]

    def _one(self, command: Command) -> Result:
        currency = "USD"
        if isinstance(command, PostEntries):
            currency = next((leg.currency for leg in command.legs if leg.currency is not None), currency)
        while True:
            try:
                outcome = evaluate(self._book, command, self._clock())
            except NotLoaded as missing:
                self._book.swept |= missing.ended_on
                for account_id in missing.account_ids:
                    self._book.accounts[account_id] = self._imagined(account_id, currency)
                    self._book.loaded.add(account_id)
            except LedgerError as error:
                return error
            else:
                self._book.apply(outcome)
                return Posted(outcome.transaction, replayed=False, hold=outcome.hold)

    def _imagined(self, account_id: UUID, currency: str) -> Account:
        now = self._clock()
        return Account(
            id=account_id,
            currency=currency,
            kind=AccountKind.CUSTOMER,
            balance=_PLENTY,
            held=0,
            floor=None,
            version=1,
            status=AccountStatus.OPEN,
            head=GENESIS,
            created_at=now,
            updated_at=now,
        )
