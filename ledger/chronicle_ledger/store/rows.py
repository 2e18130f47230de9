"""Rows into values. Each list of columns stands beside the function that reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus
from chronicle_ledger.domain.transaction import Entry, Hold, HoldState, Transaction, TransactionKind

ACCOUNT_COLUMNS = "id, currency, kind, balance, held, floor, version, status, head, created_at, updated_at, metadata"
HOLD_COLUMNS = "id, account_id, destination_id, amount, captured, state, expires_at"
TXN_COLUMNS = "id, fingerprint, kind, effective_at, posted_at, hash, metadata, details, reverses, hold_id, posted_by"
ENTRY_COLUMNS = "account_id, currency, version, amount, held, balance_after, held_after"

_KINDS = {kind.value: kind for kind in AccountKind}
_STATUSES = {status.value: status for status in AccountStatus}


def mapping(text: str) -> Mapping[str, Any]:
    """Metadata or details as stored. Raises ValueError and RecursionError for what no ledger stores."""
    if text == "{}":
        return {}
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("metadata and details are JSON objects")  # noqa: TRY004 - of a text, not of an argument
    return value


def account(row: Sequence[Any]) -> Account:
    """An account from ACCOUNT_COLUMNS."""
    return Account(
        row[0],
        row[1],
        _KINDS[row[2]],
        row[3],
        row[4],
        row[5],
        row[6],
        _STATUSES[row[7]],
        row[8],
        row[9],
        row[10],
        mapping(row[11]),
    )


def hold(row: Sequence[Any]) -> Hold:
    """A hold from HOLD_COLUMNS."""
    return Hold(row[0], row[1], row[2], row[3], row[4], HoldState(row[5]), row[6])


def entry(row: Sequence[Any], previous: bytes | None = None) -> Entry:
    """An entry from ENTRY_COLUMNS."""
    return Entry(row[0], row[1], row[2], row[3], row[4], row[5], row[6], previous)


def transaction(row: Sequence[Any], entries: Sequence[Entry]) -> Transaction:
    """A transaction from TXN_COLUMNS and its entries, which it puts in order of account id."""
    return Transaction(
        row[0],
        bytes(row[1]),
        TransactionKind(row[2]),
        tuple(sorted(entries, key=lambda e: e.account_id.int)),
        row[3],
        row[4],
        bytes(row[5]),
        mapping(row[6]),
        mapping(row[7]),
        row[8],
        row[9],
        row[10],
    )
