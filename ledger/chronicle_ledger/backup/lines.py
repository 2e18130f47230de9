"""The lines of segments: a transaction is the message of its event, byte for byte."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import msgspec

from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import Entry, Transaction
from chronicle_ledger.events.event import Event
from chronicle_ledger.seals import SealedAccount
from chronicle_ledger.seals.document import Hex32
from chronicle_ledger.seals.file import row_line, row_of

__all__ = ["account", "row_line", "transaction"]


class _Line(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fingerprint: Hex32
    reverses: UUID | None
    hold_id: UUID | None


_decode = msgspec.json.Decoder(_Line).decode


def transaction(line: bytes, path: str) -> Transaction:
    """Return the transaction of a line; its entries do not know what came before them. Raises BackupError."""
    try:
        said = _decode(line)
        found = Transaction(
            id=said.id,
            fingerprint=bytes.fromhex(said.fingerprint),
            kind=said.kind,
            entries=tuple(
                Entry(e.account_id, e.currency, e.version, e.amount, e.held, e.balance_after, e.held_after)
                for e in said.entries
            ),
            effective_at=said.effective_at.astimezone(UTC),
            posted_at=said.posted_at.astimezone(UTC),
            hash=bytes.fromhex(said.hash),
            metadata=said.metadata,
            details=said.details,
            reverses=said.reverses,
            hold_id=said.hold_id,
            posted_by=said.posted_by,
        )
        canonical = payload_of(found).encode() == line
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise _unreadable(path, f"a line is no transaction ({str(error)[:120]})") from None
    if not canonical or not found.entries or len(found.hash) != 32:
        raise _unreadable(path, f"transaction {found.id} is not spelled as a ledger spells transactions")
    return found


def account(line: bytes, path: str) -> SealedAccount:
    """Return the account, version and head of a line. Raises BackupError."""
    try:
        row = row_of(line)
    except (ValueError, TypeError, AttributeError, RecursionError):
        row = None
    if row is None or len(row.head) != 32:
        raise _unreadable(path, "a line is not an account with its version and head")
    return row


def _unreadable(path: str, what: str) -> BackupError:
    return BackupError("segment_unreadable", f"{path}: {what}")
