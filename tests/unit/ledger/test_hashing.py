"""The document under a transaction's hash, made a second time with nothing but the standard library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chronicle_ledger.domain.hashing import recompute
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import Entry, Transaction, TransactionKind

ONE, OTHER = UUID(int=1), UUID(int=2)
POSTED = Transaction(
    id=UUID(int=7),
    fingerprint=bytes(range(32)),
    kind=TransactionKind.TRANSFER,
    entries=(
        Entry(ONE, "EUR", 3, -10, 0, 90, 0, b"\x01" * 32),
        Entry(OTHER, "EUR", 2, 10, 0, 10, 0, b"\x02" * 32),
    ),
    effective_at=datetime(2026, 1, 30, tzinfo=UTC),
    posted_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
    hash=bytes(32),
    metadata={"note": "für Ü", "a": 1},
    details={},
    posted_by='the "billing" team ü',
)


def document(transaction: Transaction) -> dict[str, Any]:
    """Format 1, as docs/posting.md has it."""
    return {
        "details": dict(transaction.details),
        "effective_at": "2026-01-30T00:00:00.000000Z",
        "entries": [
            [str(e.account_id), e.currency, e.version, e.amount, e.held, e.balance_after, e.held_after,
             (e.previous or b"").hex()]
            for e in transaction.entries
        ],
        "fingerprint": transaction.fingerprint.hex(),
        "hold_id": None,
        "id": str(transaction.id),
        "kind": transaction.kind.value,
        "metadata": dict(transaction.metadata),
        "posted_at": "2026-01-31T09:00:00.000000Z",
        "reverses": None,
    }  # fmt: skip


def sha256(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_the_hash_covers_the_subject_in_a_document_of_format_2() -> None:
    expected = {**document(POSTED), "format": 2, "posted_by": POSTED.posted_by}
    assert recompute(POSTED).hex() == sha256(expected)


def test_what_was_posted_before_subjects_keeps_its_hash_and_its_message() -> None:
    old = replace(POSTED, posted_by=None)
    assert recompute(old).hex() == sha256(document(old))
    assert recompute(old).hex() == "a4546d5a9fb29f5d485cd63e6f56e4c48b736cf30ec9e57da5b4c013dd3051d8"
    assert "posted_by" not in payload_of(old)


@pytest.mark.parametrize("subject", [None, "billing", ""])
def test_neither_taking_nor_changing_the_subject_keeps_the_hash(subject: str | None) -> None:
    assert recompute(replace(POSTED, posted_by=subject)) != recompute(POSTED)


def test_the_message_says_who_posted() -> None:
    assert json.loads(payload_of(POSTED))["posted_by"] == POSTED.posted_by
