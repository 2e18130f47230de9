"""Up to which version of each account a chain of backups reaches."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from chronicle_ledger.scratch import Scratch
from chronicle_ledger.seals import SealedAccount

ASKED_AT_ONCE = 500
"""Parameters of one query; SQLite takes 999 at least."""


class Cut(Scratch):
    """Version and head of each account, on disk; and the transactions that the next backup has already."""

    def __init__(self) -> None:
        super().__init__(
            "cut (account BLOB PRIMARY KEY, version INTEGER, head BLOB) WITHOUT ROWID",
            "taken (txn BLOB PRIMARY KEY) WITHOUT ROWID",
        )

    def move(self, rows: Iterable[SealedAccount]) -> None:
        """Take the accounts of one more segment."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR REPLACE INTO cut VALUES (?, ?, ?)", ((it.account_id.bytes, it.version, it.head) for it in rows)
        )
        self._db.execute("COMMIT")

    def between(self, after: UUID | None, last: UUID | None) -> dict[UUID, SealedAccount]:
        """Return the accounts with an id in (after, last]; None is no bound."""
        rows = self._db.execute(
            "SELECT account, version, head FROM cut WHERE account > ? AND account <= ? ORDER BY account",
            (b"" if after is None else after.bytes, b"\xff" * 17 if last is None else last.bytes),
        )
        return {UUID(bytes=row[0]): SealedAccount(UUID(bytes=row[0]), row[1], row[2]) for row in rows}

    def take(self, transactions: Iterable[UUID]) -> list[UUID]:
        """Return those of `transactions` that were not taken before, each once."""
        wanted = {id_.bytes: id_ for id_ in transactions}
        keys = list(wanted)
        self._db.execute("BEGIN")
        for at in range(0, len(keys), ASKED_AT_ONCE):
            page = keys[at : at + ASKED_AT_ONCE]
            marks = ",".join("?" * len(page))
            for (known,) in self._db.execute(f"SELECT txn FROM taken WHERE txn IN ({marks})", page):  # noqa: S608
                del wanted[known]
        self._db.executemany("INSERT INTO taken VALUES (?)", ((key,) for key in wanted))
        self._db.execute("COMMIT")
        return list(wanted.values())
