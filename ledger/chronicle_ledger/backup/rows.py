"""What is written at once while a ledger is put back, and the holds that transactions leave."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.domain.transaction import Hold, HoldState, Transaction, TransactionKind
from chronicle_ledger.proof.indexes import ENDS
from chronicle_ledger.proof.said import Said, Step

T = TypeVar("T")

AT_ONCE, BYTES = 500, 2 << 20
"""What is written in one database transaction at most: so many transactions, or so many bytes of them. CockroachDB
takes messages of 16 MiB, and a statement may be some times as large as what it writes."""

ACCOUNTS_AT_ONCE = 100
"""Each may have 16 KiB of metadata."""


def holds(said: Said) -> Iterator[Hold]:
    """Yield every hold as its transactions left it. Raises BackupError where none placed it."""
    for id_, grouped in itertools.groupby(said.steps(), key=lambda step: step.hold):
        steps = list(grouped)
        placed = next((step for step in steps if step.kind is TransactionKind.HOLD), None)
        ended = next((step for step in steps if step.kind in ENDS), None)
        if placed is None or placed.account_id is None:
            raise BackupError("history_broken", f"no transaction in these backups places hold {id_}")
        yield _hold(placed, ended, placed.account_id)


def _hold(placed: Step, ended: Step | None, account: UUID) -> Hold:
    return Hold(
        id=placed.hold,
        account_id=account,
        destination_id=None if placed.destination_id is None else UUID(placed.destination_id),
        amount=placed.held,
        captured=0 if ended is None else -ended.amount,
        state=HoldState.PENDING if ended is None else ENDS[ended.kind],
        expires_at=None if placed.expires_at is None else datetime.fromisoformat(placed.expires_at),
    )


def windows(sized: Iterable[tuple[Transaction, int]]) -> Iterator[list[Transaction]]:
    """Cut transactions with their bytes into batches of AT_ONCE and BYTES; a larger one stands alone."""
    batch: list[Transaction] = []
    total = 0
    for transaction, size in sized:
        if batch and (len(batch) == AT_ONCE or total + size > BYTES):
            yield batch
            batch, total = [], 0
        batch.append(transaction)
        total += size
    if batch:
        yield batch


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut items into lists of `size`."""
    walk = iter(items)
    while page := list(itertools.islice(walk, size)):
        yield page
