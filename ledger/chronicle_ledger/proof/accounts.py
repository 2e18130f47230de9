"""Account by account: versions, sums, floors, heads, and the read model beside them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.hashing import GENESIS
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.proof.check import Check
from chronicle_ledger.proof.merge import Source, in_order
from chronicle_ledger.proof.sealed import Follower, SealsAudit
from chronicle_ledger.proof.state import Declared, compare, word
from chronicle_ledger.store import audit
from chronicle_ledger.store.audit import DayRow, LedgerAccount, LedgerEntry, StatementRow, Undecodable, ViewRow
from chronicle_ledger.store.guarded import Day
from chronicle_ledger.store.pool import Connection

NO_GENERATION = 0
"""Generations begin with 1."""

Repair = Callable[[UUID], Awaitable[None]]


@dataclass(slots=True)
class Walk:
    """The state of one account while its entries go by."""

    account: UUID
    seen: bool = False
    """Whether it has any entry."""
    version: int = 0
    balance: int = 0
    held: int = 0
    declared: Declared = field(default_factory=Declared)
    head: bytes | None = GENESIS
    at_view: LedgerEntry | None = None
    next_after_view: UUID | None = None
    days: dict[Day, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Totals:
    """What was counted on the way."""

    accounts: int = 0
    entries: int = 0
    view_accounts: int = 0
    view_behind: int = 0
    head: str = ""


class AccountsAudit:
    """Runs the checks that go account by account. `acknowledged(txn)` says whether the projector has acknowledged
    the message of a transaction: then its entries must be in the read model. `chain` takes transactions that are
    gone."""

    def __init__(
        self,
        acknowledged: Callable[[UUID], bool],
        chain: Check,
        seals: Sequence[SealsAudit] = (),
        repair: Repair | None = None,
    ) -> None:
        self._seals = seals
        self._chain = chain
        self.balanced = Check("balanced", "entries", "accounts and entries sum to zero in each currency")
        self.dense = Check("dense_versions", "entries", "each account's versions run from 1 without a gap")
        self.sums = Check("running_sums", "entries", "each balance is the sum of the entries up to it")
        self.floors = Check("floors", "balances", "no balance was ever under the floor in force")
        self.state = Check("state", "accounts", "each account is as its transactions set it")
        self.heads = Check("heads", "accounts", "each account's head is the hash of its last transaction")
        self.view = Check("view", "statement lines", "the read model equals the ledger at its version")
        self.totals = Totals()
        self._acknowledged = acknowledged
        self._repair = repair
        self._sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._ledger_head = hashlib.sha256()

    @property
    def checks(self) -> list[Check]:
        """In the order in which they are shown."""
        return [self.balanced, self.dense, self.sums, self.floors, self.state, self.heads, self.view]

    async def run(self, conn: Connection) -> None:
        """Walk through everything."""
        of = await audit.generation(conn)
        if of is None:
            self.view.differ(
                "read model: the table view_current should have one row, with id 1, and has not", table="view_current"
            )
            of = NO_GENERATION
        accounts = Source(audit.accounts(conn), lambda row: row.id)
        entries = Source(audit.entries(conn), lambda row: row.account_id)
        views = Source(audit.view_accounts(conn, of), lambda row: row.id)
        statements = Source(audit.statements(conn, of), lambda row: row.account_id)
        days = Source(audit.days(conn, of), lambda row: row.account_id)
        sealed = [(seals, seals.source()) for seals in self._seals]
        async for account in in_order(accounts, entries, views, statements, days, *(source for _, source in sealed)):
            row, view = await accounts.one(account), await views.one(account)
            before = self.view.differences
            followers = [await seals.follow(source.of(account)) for seals, source in sealed]
            walk = await self._walk(account, view, entries.of(account), statements.of(account), followers)
            self._finish(row, walk)
            await self._compare_view(row, view, walk, days.of(account))
            if self.view.differences > before and self._repair is not None:
                await self._repair(account)
        self._conclude()

    async def _walk(
        self,
        account: UUID,
        view: ViewRow | None,
        entries: AsyncIterator[LedgerEntry],
        statements: AsyncIterator[StatementRow],
        followers: Sequence[Follower],
    ) -> Walk:
        walk = Walk(account)
        seen = view.version if view is not None else 0
        line = await anext(statements, None)
        async for entry in entries:
            walk.seen = True
            self._entry(walk, entry)
            for follower in followers:
                await follower.entry(entry)
            while line is not None and line.version < entry.version:
                self._foreign_line(line)
                line = await anext(statements, None)
            if entry.version <= seen:
                self._line(entry, line if line is not None and line.version == entry.version else None)
                _count_day(walk, entry)
                walk.at_view = entry
            elif entry.version == seen + 1:
                walk.next_after_view = entry.txn_id
            if line is not None and line.version == entry.version:
                if entry.version > seen:
                    self._foreign_line(line)
                line = await anext(statements, None)
        while line is not None:
            self._foreign_line(line)
            line = await anext(statements, None)
        for follower in followers:
            await follower.end()
        return walk

    def _entry(self, walk: Walk, entry: LedgerEntry) -> None:
        self.totals.entries += 1
        where: dict[str, Any] = {
            "table": "entry", "account_id": entry.account_id, "version": entry.version, "transaction_id": entry.txn_id,
        }  # fmt: skip
        self._sums[entry.currency][1] += entry.amount
        self.dense.compared += 1
        if entry.version != walk.version + 1:
            self.dense.differ(
                f"account {entry.account_id}: version {walk.version + 1} is missing (the next one is {entry.version})",
                table="entry", account_id=entry.account_id, missing=walk.version + 1, found=entry.version,
            )  # fmt: skip
        elif (walk.balance + entry.amount, walk.held + entry.held) != (entry.balance_after, entry.held_after):
            # After a gap the sums cannot be followed; the gap itself was reported.
            self.sums.differ(
                f"account {entry.account_id} version {entry.version}: says balance {entry.balance_after} and held"
                f" {entry.held_after}, its entries sum to {walk.balance + entry.amount} and {walk.held + entry.held}",
                **where, balance_after=entry.balance_after, sum=walk.balance + entry.amount,
            )  # fmt: skip
        self.sums.compared += 1
        if entry.hash is None:
            self._chain.differ(
                f"transaction {entry.txn_id} is gone; it wrote version {entry.version} of account {entry.account_id}",
                **{**where, "table": "txn"},
            )
        elif entry.posted_at != entry.txn_posted_at:
            self._chain.differ(
                f"account {entry.account_id} version {entry.version} is dated {word(entry.posted_at)}, its"
                f" transaction {entry.txn_id} otherwise",
                **where,
            )
        self._follow(walk, entry)
        floor = walk.declared.floor
        self.floors.compared += 1
        if floor is not None and entry.balance_after - entry.held_after < floor:
            self.floors.differ(
                f"account {entry.account_id} version {entry.version}: {entry.balance_after - entry.held_after}"
                f" available, under its floor of {floor}",
                **where, available=entry.balance_after - entry.held_after, floor=floor,
            )  # fmt: skip
        walk.version, walk.balance, walk.held = entry.version, entry.balance_after, entry.held_after
        walk.head = entry.hash

    def _follow(self, walk: Walk, entry: LedgerEntry) -> None:
        """Take what the entry's transaction set, and see that the first one opened the account and no later one did."""
        opens = entry.kind == TransactionKind.ACCOUNT_OPENED
        if entry.kind is not None and opens != (entry.version == 1):
            what = "opened it again" if opens else f"({entry.kind}) wrote its first version without opening it"
            self.state.differ(
                f"account {entry.account_id}: transaction {entry.txn_id} {what}",
                table="account", account_id=entry.account_id, version=entry.version, transaction_id=entry.txn_id,
            )  # fmt: skip
        try:
            walk.declared.take(entry)
        except Undecodable as error:
            self.state.differ(
                f"account {entry.account_id}: what transaction {entry.txn_id} set cannot be read: {error}",
                table="txn", account_id=entry.account_id, version=entry.version, transaction_id=entry.txn_id,
            )  # fmt: skip

    def _finish(self, row: LedgerAccount | None, walk: Walk) -> None:
        if row is None:
            if walk.seen:
                self.sums.differ(
                    f"account {walk.account} has entries but no row", table="account", account_id=walk.account
                )
            return
        self.totals.accounts += 1
        self._sums[row.currency][0] += row.balance
        self._ledger_head.update(row.id.bytes + bytes(row.head))
        if not walk.seen:
            self.state.differ(
                f"account {row.id} has no entry: no transaction opened it", table="account", account_id=row.id
            )
        if row.version != walk.version:
            self.dense.differ(
                f"account {row.id} is at version {row.version}, its last entry at {walk.version}",
                table="account", account_id=row.id, account_version=row.version, last_version=walk.version,
            )  # fmt: skip
        elif (row.balance, row.held) != (walk.balance, walk.held):
            self.sums.differ(
                f"account {row.id}: balance {row.balance} and held {row.held}, its last entry says {walk.balance} and"
                f" {walk.held}",
                table="account", account_id=row.id, balance=row.balance, sum=walk.balance,
            )  # fmt: skip
        if row.floor != walk.declared.floor:
            self.floors.differ(
                f"account {row.id}: floor {row.floor}, its transactions set {walk.declared.floor}",
                table="account", account_id=row.id, floor=row.floor, set_floor=walk.declared.floor,
            )  # fmt: skip
        compare(self.state, row, walk.declared)
        self.heads.compared += 1
        if bytes(row.head) != walk.head:
            self.heads.differ(
                f"account {row.id}: its head is not the hash of the transaction that wrote version {walk.version}",
                table="account", account_id=row.id, version=walk.version,
            )  # fmt: skip

    def _foreign_line(self, line: StatementRow) -> None:
        self.view.differ(
            f"read model: account {line.account_id} has a line of version {line.version} that should not be there",
            table="statement_view", account_id=line.account_id, version=line.version, transaction_id=line.txn_id,
        )  # fmt: skip

    def _line(self, entry: LedgerEntry, line: StatementRow | None) -> None:
        self.view.compared += 1
        where: dict[str, Any] = {
            "table": "statement_view", "account_id": entry.account_id, "version": entry.version,
            "transaction_id": entry.txn_id,
        }  # fmt: skip
        if line is None:
            self.view.differ(
                f"read model: account {entry.account_id} lacks the line of version {entry.version}", **where
            )
            return
        ledger = (entry.amount, entry.held, entry.balance_after, entry.held_after)
        model = (line.amount, line.held, line.balance_after, line.held_after)
        if ledger != model:
            self.view.differ(
                f"read model: account {entry.account_id} version {entry.version} says balance {line.balance_after} by"
                f" {line.amount}, the ledger {entry.balance_after} by {entry.amount}",
                **where, view_balance=line.balance_after, balance=entry.balance_after,
            )  # fmt: skip
            return
        origin = (entry.txn_id, entry.kind, entry.txn_posted_at, entry.effective_at, entry.posted_by)
        if origin != (line.txn_id, line.kind, line.posted_at, line.effective_at, line.posted_by):
            self.view.differ(
                f"read model: account {entry.account_id} version {entry.version} has another transaction, kind or time,"
                " or somebody else who posted it, than in the ledger",
                **where,
            )

    async def _compare_view(
        self, row: LedgerAccount | None, view: ViewRow | None, walk: Walk, days: AsyncIterator[DayRow]
    ) -> None:
        found = {day.day: day async for day in days}
        if view is not None:
            self.totals.view_accounts += 1
            self._compare_balance(view, walk)
        for day, sums in walk.days.items():
            got = found.pop(day, None)
            if got is None or [got.debits, got.credits, got.entries, got.closing_balance] != sums:
                self.view.differ(
                    f"read model: the totals of account {walk.account} on {day} are not those of its entries",
                    table="daily_view", account_id=walk.account, day=day,
                )  # fmt: skip
        for day in found:
            self.view.differ(
                f"read model: account {walk.account} has totals for {day} without entries",
                table="daily_view", account_id=walk.account, day=day,
            )  # fmt: skip
        if row is not None and (view is None or view.version < row.version):
            self.totals.view_behind += 1
            if walk.next_after_view is not None and self._acknowledged(walk.next_after_view):
                self.view.differ(
                    f"read model: transaction {walk.next_after_view} was acknowledged, but account {walk.account}"
                    " does not show it",
                    table="account_view", account_id=walk.account, transaction_id=walk.next_after_view,
                )  # fmt: skip

    def _compare_balance(self, view: ViewRow, walk: Walk) -> None:
        if view.version > walk.version:
            self.view.differ(
                f"read model: account {view.id} is at version {view.version}, which the ledger has not reached"
                f" ({walk.version})",
                table="account_view", account_id=view.id, view_version=view.version, version=walk.version,
            )  # fmt: skip
            return
        entry, declared = walk.at_view, walk.declared.values
        if entry is None or (entry.balance_after, entry.held_after) != (view.balance, view.held):
            balance = None if entry is None else entry.balance_after
            self.view.differ(
                f"read model: account {view.id} at version {view.version} has balance {view.balance}, the ledger"
                f" {balance}",
                table="account_view", account_id=view.id, version=view.version, view_balance=view.balance,
                balance=balance,
            )  # fmt: skip
            return
        # What opened the account said currency and kind, which never change; where it is gone, nobody can know.
        for name, said, truth in (
            ("currency", view.currency, declared.get("currency", view.currency)),
            ("kind", view.kind, declared.get("kind", view.kind)),
            ("posted_at", view.posted_at, entry.txn_posted_at),
        ):
            if said != truth:
                self.view.differ(
                    f"read model: account {view.id}: {name} is {word(said)!r}, the ledger says {word(truth)!r}",
                    table="account_view", account_id=view.id, version=view.version, field=name,
                )  # fmt: skip

    def _conclude(self) -> None:
        self.balanced.compared = self.totals.entries
        self.balanced.figures = {"currencies": len(self._sums), "accounts": self.totals.accounts}
        for currency, (balances, amounts) in sorted(self._sums.items()):
            if balances or amounts:
                self.balanced.differ(
                    f"{currency}: balances sum to {balances} and entries to {amounts}, not 0",
                    currency=currency, balances=balances, entries=amounts,
                )  # fmt: skip
        self.view.figures = {"accounts": self.totals.view_accounts, "behind": self.totals.view_behind}
        self.totals.head = self._ledger_head.hexdigest()


def _count_day(walk: Walk, entry: LedgerEntry) -> None:
    if entry.day is None:
        return
    sums = walk.days.setdefault(entry.day, [0, 0, 0, 0])
    sums[0 if entry.amount < 0 else 1] += abs(entry.amount)
    sums[2] += 1
    sums[3] = entry.balance_after
