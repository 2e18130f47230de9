"""What is not money on an account: what its row says, against what its transactions set."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.proof.check import Check
from chronicle_ledger.store.audit import LedgerAccount, LedgerEntry


@dataclass(slots=True)
class Declared:
    """What the transactions of one account have set so far. Without the one that opened it (its absence is reported
    elsewhere) there are values that nobody can know, and they are not compared."""

    values: dict[str, Any] = field(default_factory=dict)

    def take(self, entry: LedgerEntry) -> None:
        """Follow one more transaction of the account. Raises Undecodable."""
        if entry.version == 1:
            self.values["created_at"] = entry.posted_at
        self.values["updated_at"] = entry.posted_at
        self.values.update(entry.settings())

    @property
    def floor(self) -> int | None:
        """The floor in force, in minor units; None for none."""
        floor: int | None = self.values.get("floor")
        return floor


def compare(check: Check, row: LedgerAccount, declared: Declared) -> None:
    """Compare all but floor (which the check of floors follows entry by entry) and money."""
    check.compared += 1
    said: dict[str, Any] = {
        "currency": row.currency,
        "kind": row.kind,
        "status": row.status,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    for name, value in said.items():
        if name in declared.values and value != declared.values[name]:
            check.differ(
                f"account {row.id}: {name} is {word(value)!r}, its transactions say {word(declared.values[name])!r}",
                table="account", account_id=row.id, field=name,
            )  # fmt: skip
    if "metadata" in declared.values and row.metadata != _spelling(declared.values["metadata"]):
        # Not quoted: a proof is shown to more people than what callers keep there.
        check.differ(
            f"account {row.id}: metadata is not what its transactions set",
            table="account",
            account_id=row.id,
            field="metadata",
        )


def _spelling(metadata: dict[str, Any]) -> str | None:
    try:
        return canonical_json(metadata)
    except (ValueError, RecursionError):
        return None  # what nobody can have posted fits no row


def word(value: object) -> str:
    """A value as a message shows it."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
