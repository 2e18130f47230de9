"""The hash chain of a chain of backups, put together on disk, so that any number of transactions fits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from chronicle_ledger.domain.hashing import GENESIS, recompute
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.scratch import Scratch


class State(NamedTuple):
    """An account as its entries so far leave it: the highest version, its head, and how many entries there are."""

    account_id: UUID
    version: int
    head: bytes
    entries: int


class History(Scratch):
    """Which transaction wrote which version of which account; use as a context manager."""

    def __init__(self) -> None:
        super().__init__(
            "posted (account BLOB, version INTEGER, hash BLOB, PRIMARY KEY (account, version)) WITHOUT ROWID",
            "state (account BLOB PRIMARY KEY, version INTEGER, entries INTEGER, backup INTEGER) WITHOUT ROWID",
        )

    def hear(self, transactions: Sequence[Transaction], backup: int) -> str | None:
        """Take transactions of backup number `backup`; return what is wrong where one is there twice."""
        rows = [(e.account_id.bytes, e.version, t.hash) for t in transactions for e in t.entries]
        self._db.execute("BEGIN")
        before = self._db.total_changes
        self._db.executemany("INSERT OR IGNORE INTO posted VALUES (?, ?, ?)", rows)
        twice = self._db.total_changes - before != len(rows)
        self._db.executemany(
            "INSERT INTO state VALUES (?, ?, 1, ?) ON CONFLICT (account) DO UPDATE SET"
            " version = MAX(version, excluded.version), entries = entries + 1, backup = excluded.backup",
            ((account, version, backup) for account, version, _ in rows),
        )
        self._db.execute("COMMIT")
        return "a version of an account was written twice" if twice else None

    def hash_of(self, account: UUID, version: int) -> bytes | None:
        """Return the hash of the transaction that wrote this version."""
        row = self._db.execute(
            "SELECT hash FROM posted WHERE account = ? AND version = ?", (account.bytes, version)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def state(self, account: UUID) -> State | None:
        """Return what is known of an account."""
        row = self._db.execute(f"{_STATES} WHERE s.account = ?", (account.bytes,)).fetchone()
        return None if row is None else _state(row)

    def touched(self, backup: int) -> int:
        """Return how many accounts the transactions of a backup moved."""
        return int(self._db.execute("SELECT count(*) FROM state WHERE backup = ?", (backup,)).fetchone()[0])

    def states(self) -> Iterator[State]:
        """Return all accounts in order of id."""
        return map(_state, self._db.execute(f"{_STATES} ORDER BY s.account"))

    def head(self) -> tuple[str, int]:
        """Return the ledger's head, as a proof has it, and the number of accounts."""
        digest, count = hashlib.sha256(), 0
        for state in self.states():
            digest.update(state.account_id.bytes + state.head)
            count += 1
        return digest.hexdigest(), count

    def misfits(self, transactions: Iterable[Transaction]) -> Iterator[str]:
        """Yield what is wrong with transactions, once all were heard: their hash, what came before them, their sums."""
        for transaction in transactions:
            entries = []
            for entry in transaction.entries:
                previous = GENESIS if entry.version == 1 else self.hash_of(entry.account_id, entry.version - 1)
                if previous is None:
                    yield (
                        f"what wrote version {entry.version - 1} of account {entry.account_id} is missing;"
                        f" transaction {transaction.id} comes after it"
                    )
                    return
                entries.append(replace(entry, previous=previous))
            if recompute(replace(transaction, entries=tuple(entries))) != transaction.hash:
                yield f"transaction {transaction.id} is not what was posted: its hash does not fit"
            sums: dict[str, int] = {}
            for entry in transaction.entries:
                sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount
            if any(sums.values()):
                yield f"the entries of transaction {transaction.id} do not sum to 0"


_STATES = (
    "SELECT s.account, s.version, p.hash, s.entries FROM state s"
    " JOIN posted p ON p.account = s.account AND p.version = s.version"
)


def _state(row: tuple[bytes, int, bytes, int]) -> State:
    return State(UUID(bytes=row[0]), row[1], bytes(row[2]), row[3])
