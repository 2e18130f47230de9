"""The hash chain: each transaction's hash covers what came before it on every account that it touches.

The hash is the SHA-256 of this document as canonical JSON (sorted keys, no spaces, ASCII; `canonical.py`):

    {"details": {…}, "effective_at": "…Z",
     "entries": [[account_id, currency, version, amount, held, balance_after, held_after, previous], …],
     "fingerprint": hex, "format": 2, "hold_id": id|null, "id": id, "kind": "…", "metadata": {…}, "posted_at": "…Z",
     "posted_by": "…", "reverses": id|null}

with the entries in order of account id and `previous` the hex hash of the transaction that wrote the account's
version before (64 zeros for version 1). So a posted row cannot change, nor vanish from the middle, without the first
transaction after it on that account no longer fitting.

A transaction without `posted_by` was posted before subjects were recorded; its document is of format 1, which has
neither `format` nor `posted_by`. No document is of both formats, so taking the subject away shows as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chronicle_ledger.domain.canonical import canonical_json, json_string, timestamp
from chronicle_ledger.domain.transaction import Entry, Transaction, TransactionKind

GENESIS = bytes(32)
"""What stands before an account's first version."""

_FORMAT = '"format":2,'


def _optional(value: UUID | None) -> str:
    return "null" if value is None else f'"{value}"'


def _entry(entry: Entry) -> str:
    if entry.previous is None:
        raise ValueError("an entry is hashed with the hash of the transaction before it; read `previous` first")
    return (
        f'["{entry.account_id}",{json_string(entry.currency)},{entry.version},{entry.amount},{entry.held},'
        f'{entry.balance_after},{entry.held_after},"{entry.previous.hex()}"]'
    )


def transaction_hash(
    *,
    id: UUID,  # noqa: A002 - the field's name everywhere else
    fingerprint: bytes,
    kind: TransactionKind,
    entries: Sequence[Entry],
    effective_at: datetime,
    posted_at: datetime,
    metadata: Mapping[str, Any],
    details: Mapping[str, Any],
    reverses: UUID | None,
    hold_id: UUID | None,
    posted_by: str | None,
) -> bytes:
    """The 32 bytes that seal a transaction. `entries` must be in order of account id and know their `previous`."""
    numbered, subject = ("", "") if posted_by is None else (_FORMAT, f'"posted_by":{json_string(posted_by)},')
    document = (
        f'{{"details":{canonical_json(details)},"effective_at":"{timestamp(effective_at)}",'
        f'"entries":[{",".join([_entry(entry) for entry in entries])}],"fingerprint":"{fingerprint.hex()}",{numbered}'
        f'"hold_id":{_optional(hold_id)},"id":"{id}","kind":"{kind.value}","metadata":{canonical_json(metadata)},'
        f'"posted_at":"{timestamp(posted_at)}",{subject}"reverses":{_optional(reverses)}}}'
    )
    return hashlib.sha256(document.encode("ascii")).digest()


def recompute(transaction: Transaction) -> bytes:
    """The hash that `transaction` should have, by what it says; differs from `transaction.hash` after tampering."""
    return transaction_hash(
        id=transaction.id,
        fingerprint=transaction.fingerprint,
        kind=transaction.kind,
        entries=transaction.entries,
        effective_at=transaction.effective_at,
        posted_at=transaction.posted_at,
        metadata=transaction.metadata,
        details=transaction.details,
        reverses=transaction.reverses,
        hold_id=transaction.hold_id,
        posted_by=transaction.posted_by,
    )


def ledger_head(heads: Iterable[tuple[UUID, bytes]]) -> bytes:
    """One hash for the whole ledger: SHA-256 over every (account id, head), in order of account id."""
    digest = hashlib.sha256()
    for account_id, head in sorted(heads):
        digest.update(account_id.bytes)
        digest.update(head)
    return digest.digest()
