"""What transactions say of holds and reversals, noted while they go by in their own order, to be read in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from chronicle_ledger.domain.transaction import Transaction, TransactionKind
from chronicle_ledger.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction did to a hold: how it moved balance and held amount (minor units) of the account that the
    hold is on. `destination_id` and `expires_at` are what the transaction that placed it has in its details."""

    hold: UUID
    transaction: UUID
    kind: TransactionKind
    account_id: UUID | None
    amount: int
    held: int
    destination_id: str | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Reversing:
    """That `transaction` says that it reverses `reverses`."""

    reverses: UUID
    transaction: UUID


class Said(Scratch):
    """The notes; use as a context manager."""

    def __init__(self) -> None:
        super().__init__(
            "step (hold BLOB, txn BLOB, kind TEXT, account BLOB, amount INTEGER, held INTEGER, destination TEXT,"
            " expires TEXT, PRIMARY KEY (hold, txn)) WITHOUT ROWID",
            "reversing (reverses BLOB, txn BLOB, PRIMARY KEY (reverses, txn)) WITHOUT ROWID",
        )

    def hear(self, page: Iterable[Transaction]) -> None:
        """Note what concerns holds and reversals; most transactions do not."""
        self._db.execute("BEGIN")
        for transaction in page:
            if transaction.hold_id is not None:
                self._note_step(transaction, transaction.hold_id)
            if transaction.reverses is not None:
                self._db.execute(
                    "INSERT INTO reversing VALUES (?, ?)", (transaction.reverses.bytes, transaction.id.bytes)
                )
        self._db.execute("COMMIT")

    def _note_step(self, transaction: Transaction, hold: UUID) -> None:
        # A capture's other entry moves no held amount.
        entry = next((entry for entry in transaction.entries if entry.held), None)
        self._db.execute(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                hold.bytes, transaction.id.bytes, transaction.kind.value,
                None if entry is None else entry.account_id.bytes,
                0 if entry is None else entry.amount, 0 if entry is None else entry.held,
                _text(transaction.details.get("destination_id")), _text(transaction.details.get("expires_at")),
            ),
        )  # fmt: skip

    def steps(self) -> Iterator[Step]:
        """In order of hold."""
        for row in self._db.execute("SELECT * FROM step ORDER BY hold, txn"):
            yield Step(
                UUID(bytes=row[0]), UUID(bytes=row[1]), TransactionKind(row[2]),
                None if row[3] is None else UUID(bytes=row[3]), *row[4:],
            )  # fmt: skip

    def reversings(self) -> Iterator[Reversing]:
        """In order of what is reversed."""
        for row in self._db.execute("SELECT reverses, txn FROM reversing ORDER BY reverses, txn"):
            yield Reversing(UUID(bytes=row[0]), UUID(bytes=row[1]))


def _text(value: object) -> str | None:
    # Details that were changed may hold anything; that is the chain's to say, and no reason to give up here.
    return None if value is None else str(value)
