"""A chain of seals, checked while it goes by and indexed on disk: any number of seals in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from chronicle_ledger.scratch import Scratch
from chronicle_ledger.seals.document import FIRST_PREVIOUS, MAX_VERSION, SCHEMA, Rows, Seal, SealedAccount


class SealBroken(Exception):
    """The seals are not as a sealer wrote them; the message says which one and why."""


class SealedState(NamedTuple):
    """An account's version and head as seal `number` has them."""

    account_id: UUID
    version: int
    head: bytes
    number: int


class SealedChain(Scratch):
    """All seals of one source; use as a context manager.

    `trusted` are the public keys (hex) that may sign. Empty: the first seal's key counts, which shows only that one
    key signed everything. A chain may begin after number 1, where earlier seals are kept elsewhere.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        super().__init__(
            "sealed (account BLOB, version INTEGER, head BLOB, number INTEGER, PRIMARY KEY (account, version))"
            " WITHOUT ROWID",
            "root (number INTEGER PRIMARY KEY, root TEXT)",
        )
        self._trusted = frozenset(trusted)
        self._rows = Rows()
        self._before: UUID | None = None
        self.first: Seal | None = None
        self.last: Seal | None = None

    @property
    def unfinished(self) -> bool:
        """Whether rows came without the seal that ends them."""
        return self._before is not None

    @property
    def _pending(self) -> int:
        """The number under which rows wait for their seal; 0 before the first, which has yet to say its own."""
        return 0 if self.last is None else self.last.number + 1

    def row(self, row: SealedAccount) -> None:
        """Take one row of the seal that comes next. Raises SealBroken."""
        if not 1 <= row.version <= MAX_VERSION or len(row.head) != 32:
            raise SealBroken(f"account {row.account_id} is sealed with a version or head that no account can have")
        if self._before is None:
            self._db.execute("BEGIN")
        elif row.account_id.int <= self._before.int:
            raise SealBroken(f"account {row.account_id} does not come in order of id")
        self._before = row.account_id
        self._rows.add(row)
        done = self._db.execute(
            "INSERT OR IGNORE INTO sealed VALUES (?, ?, ?, ?)",
            (row.account_id.bytes, row.version, row.head, self._pending),
        )
        if not done.rowcount:
            raise SealBroken(f"version {row.version} of account {row.account_id} is sealed twice")

    def close(self, seal: Seal) -> None:
        """Take the seal that ends the rows. Raises SealBroken, and then the rows count for nothing."""
        try:
            self._check(seal)
        except SealBroken:
            self.drop()
            raise
        if self._before is not None:
            if self.last is None:
                self._db.execute("UPDATE sealed SET number = ?", (seal.number,))
            self._db.execute("COMMIT")
        self._db.execute("INSERT INTO root VALUES (?, ?)", (seal.number, seal.root))
        self._rows, self._before = Rows(), None
        self.first = self.first or seal
        self.last = seal

    def drop(self) -> None:
        """Forget rows that no seal ended. A scratch file has no journal, so nothing can be rolled back."""
        if self._before is not None:
            self._db.execute("DELETE FROM sealed WHERE number = ?", (self._pending,))
            self._db.execute("COMMIT")
        self._rows, self._before = Rows(), None

    def _check(self, seal: Seal) -> None:
        if seal.schema != SCHEMA:
            raise SealBroken(f"seal {seal.number} has schema {seal.schema}, not {SCHEMA}; upgrade this program")
        if seal.root != seal.expected_root():
            raise SealBroken(f"seal {seal.number} was changed: its root does not fit what it says")
        if not seal.is_signed():
            raise SealBroken(f"seal {seal.number} is not signed by the key that it names")
        keys = self._trusted or frozenset([seal.public_key if self.first is None else self.first.public_key])
        if seal.public_key not in keys:
            raise SealBroken(f"seal {seal.number} is signed by another key ({seal.public_key}) than the one to trust")
        if self.last is not None and (seal.number, seal.previous) != (self.last.number + 1, self.last.root):
            raise SealBroken(f"seal {seal.number} does not follow seal {self.last.number}: seals are missing or forked")
        if seal.number == 1 and seal.previous != FIRST_PREVIOUS:
            raise SealBroken("seal 1 names a seal before it, and there is none")
        if (seal.accounts, seal.rows) != (self._rows.count, self._rows.hexdigest()):
            raise SealBroken(f"the accounts of seal {seal.number} are not those that were sealed")

    def latest(self, after: UUID | None, last: UUID | None) -> dict[UUID, SealedState]:
        """Return the last sealed state of each account with an id in (after, last]; None is no bound."""
        rows = self._db.execute(
            "SELECT account, MAX(version), head, number FROM sealed WHERE account > ? AND account <= ?"
            " GROUP BY account ORDER BY account",
            (b"" if after is None else after.bytes, b"\xff" * 17 if last is None else last.bytes),
        )
        return {state.account_id: state for state in map(_state, rows)}

    def states(self) -> Iterator[SealedState]:
        """Return everything that was sealed, in order of account and version."""
        for row in self._db.execute("SELECT account, version, head, number FROM sealed ORDER BY account, version"):
            yield _state(row)

    def root_of(self, number: int) -> str | None:
        """Return the root of seal `number`, where the chain has it."""
        row = self._db.execute("SELECT root FROM root WHERE number = ?", (number,)).fetchone()
        return None if row is None else str(row[0])

    def roots(self) -> Iterable[tuple[int, str]]:
        """Return the number and root of each seal, in order."""
        return self._db.execute("SELECT number, root FROM root ORDER BY number")


def _state(row: tuple[bytes, int, bytes, int]) -> SealedState:
    return SealedState(UUID(bytes=row[0]), row[1], row[2], row[3])
