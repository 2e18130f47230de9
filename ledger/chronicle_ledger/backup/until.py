"""Up to where a chain is put back: all of it, a moment, or a transaction. Each is a consistent cut.

Times on an account never run backwards, so all that was posted up to a moment holds what came before it on each
account. Of what was posted in the very moment of a transaction, what that transaction follows comes with it, and the
rest does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chronicle_ledger.backup import lines
from chronicle_ledger.backup.errors import USAGE, BackupError
from chronicle_ledger.backup.manifest import Manifest
from chronicle_ledger.backup.reader import Reader
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.payload import SCHEMA
from chronicle_ledger.domain.transaction import Transaction

To = datetime | UUID | None
"""Up to where: a moment, a transaction, or everything."""


@dataclass(frozen=True, slots=True)
class Until:
    """`moment` None: everything. `of_moment` are the transactions of the moment itself that belong to the cut; None:
    all of them."""

    moment: datetime | None = None
    of_moment: frozenset[UUID] | None = None

    def has(self, transaction: Transaction) -> bool:
        """Return whether `transaction` belongs to the cut."""
        if self.moment is None or transaction.posted_at < self.moment:
            return True
        if transaction.posted_at > self.moment:
            return False
        return self.of_moment is None or transaction.id in self.of_moment


def up_to(transaction: Transaction, of_moment: Iterable[Transaction]) -> Until:
    """Return the cut that ends with `transaction`; `of_moment` are all that were posted in its moment."""
    written: Mapping[tuple[UUID, int], Transaction] = {
        (e.account_id, e.version): t for t in of_moment for e in t.entries
    }
    wanted = {transaction.id: transaction}
    left = [transaction]
    while left:
        for entry in left.pop().entries:
            before = written.get((entry.account_id, entry.version - 1))
            if before is not None and before.id not in wanted:
                wanted[before.id] = before
                left.append(before)
    return Until(transaction.posted_at, frozenset(wanted))


async def until(reader: Reader, chain: Sequence[Manifest], to: To) -> Until:
    """Return the cut that `to` means in `chain`. Raises BackupError where it is beyond these backups."""
    if to is None:
        return Until()
    if isinstance(to, datetime):
        # The nodes of a database have a clock each, so what was posted may bear a later time than the backup itself.
        last = max(chain[-1].at, *(manifest.last_posted_at or "" for manifest in chain))
        if timestamp(to) > last:
            raise BackupError(
                "beyond_backups",
                f"the last backup ends at {last}, and {timestamp(to)} is later; without --to all of it is put back",
                USAGE,
            )
        return Until(to)
    start = f'{{"schema":{SCHEMA},"id":"{to}"'.encode()
    target = None
    async for path, page in reader.transactions():
        target = next((lines.transaction(line, path) for line in page if line.startswith(start)), None)
        if target is not None:
            break
    if target is None:
        raise BackupError("beyond_backups", f"transaction {to} is not in these backups", USAGE)
    moment = f'"posted_at":"{timestamp(target.posted_at)}"'.encode()
    beside = [
        lines.transaction(line, path) async for path, page in reader.transactions() for line in page if moment in line
    ]
    return up_to(target, [it for it in beside if it.posted_at == target.posted_at])
