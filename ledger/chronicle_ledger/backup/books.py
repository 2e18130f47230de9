"""The accounts that transactions lead to, put together on disk while these go by in whatever order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import canonical_json, timestamp
from chronicle_ledger.domain.transaction import Transaction, TransactionKind
from chronicle_ledger.scratch import Scratch
from chronicle_ledger.store import audit

_SETTING = frozenset({TransactionKind.ACCOUNT_OPENED, TransactionKind.ACCOUNT_UPDATED})


class Books(Scratch):
    """The last entry of each account and what was set on it; use as a context manager."""

    def __init__(self) -> None:
        super().__init__(
            "last (account BLOB PRIMARY KEY, version INTEGER, entries INTEGER, balance INTEGER, held INTEGER,"
            " head BLOB, at TEXT) WITHOUT ROWID",
            "setting (account BLOB, version INTEGER, txn BLOB, kind TEXT, currency TEXT, details TEXT, at TEXT,"
            " PRIMARY KEY (account, version)) WITHOUT ROWID",
        )
        self.transactions = 0

    def hear(self, transactions: Sequence[Transaction]) -> None:
        """Take transactions."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO last VALUES (?, ?, 1, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET entries = entries + 1,"
            " balance = CASE WHEN excluded.version > version THEN excluded.balance ELSE balance END,"
            " held = CASE WHEN excluded.version > version THEN excluded.held ELSE held END,"
            " head = CASE WHEN excluded.version > version THEN excluded.head ELSE head END,"
            " at = CASE WHEN excluded.version > version THEN excluded.at ELSE at END,"
            " version = MAX(excluded.version, version)",
            (
                (e.account_id.bytes, e.version, e.balance_after, e.held_after, t.hash, timestamp(t.posted_at))
                for t in transactions
                for e in t.entries
            ),
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO setting VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    e.account_id.bytes, e.version, t.id.bytes, t.kind.value, e.currency, canonical_json(t.details),
                    timestamp(t.posted_at),
                )
                for t in transactions
                if t.kind in _SETTING
                for e in t.entries
            ),
        )  # fmt: skip
        self._db.execute("COMMIT")
        self.transactions += len(transactions)

    def version(self, account: UUID) -> int:
        """Return the version that an account has; 0 where there is none."""
        row = self._db.execute("SELECT version FROM last WHERE account = ?", (account.bytes,)).fetchone()
        return 0 if row is None else int(row[0])

    def head(self) -> str:
        """Return the ledger's head, as a proof has it."""
        digest = hashlib.sha256()
        for account, head in self._db.execute("SELECT account, head FROM last ORDER BY account"):
            digest.update(account + head)
        return digest.hexdigest()

    def accounts(self) -> Iterator[Account]:
        """Yield every account in order of id. Raises BackupError where its history is not whole."""
        settings = self._db.execute("SELECT * FROM setting ORDER BY account, version")
        setting = settings.fetchone()
        for account, version, entries, balance, held, head, at in self._db.execute(
            "SELECT * FROM last ORDER BY account"
        ):
            id_ = UUID(bytes=account)
            values: dict[str, Any] = {}
            opened = None
            while setting is not None and setting[0] == account:
                values.update(_settings(setting))
                opened = setting[6] if setting[1] == 1 else opened
                setting = settings.fetchone()
            if opened is None or entries != version or not audit.DECLARED.keys() <= values.keys():
                raise BackupError(
                    "history_broken",
                    f"account {id_} has no whole history in these backups: {entries} entries up to version {version}",
                )
            yield Account(
                id=id_, currency=values["currency"], kind=AccountKind(values["kind"]), balance=balance, held=held,
                floor=values["floor"], version=version, status=AccountStatus(values["status"]), head=bytes(head),
                created_at=datetime.fromisoformat(opened), updated_at=datetime.fromisoformat(at),
                metadata=values["metadata"],
            )  # fmt: skip


def _settings(row: Sequence[Any]) -> dict[str, Any]:
    account, version, txn, kind, currency, details, at = row
    moment = datetime.fromisoformat(at)
    entry = audit.LedgerEntry(
        UUID(bytes=account), version, UUID(bytes=txn), currency, 0, 0, 0, 0, None, kind, moment, moment, moment, None,
        details,
    )  # fmt: skip
    try:
        return entry.settings()
    except audit.Undecodable as error:
        raise BackupError("history_broken", f"transaction {entry.txn_id} cannot be put back: {error}") from None
