"""The values that the documentation shows; they fit together."""

from __future__ import annotations

from typing import Any, Final

from chronicle_ledger.web.problems import ACCOUNT

OTHER: Final = "8f3d9c56-2f0e-4d0b-8a52-3c3f6d2f9b7e"

OPEN_ACCOUNT: Final[dict[str, Any]] = {"currency": "EUR", "floor": 0, "metadata": {"owner": "alice"}}
UPDATE_ACCOUNT: Final[dict[str, Any]] = {"status": "frozen"}
TRANSFER: Final[dict[str, Any]] = {
    "source": ACCOUNT,
    "destination": OTHER,
    "amount": 1250,
    "metadata": {"order": "A-17"},
}
CASH: Final[dict[str, Any]] = {"amount": 5000, "currency": "EUR"}
JOURNAL: Final[dict[str, Any]] = {
    "entries": [{"account_id": ACCOUNT, "amount": -300}, {"account_id": OTHER, "amount": 300}]
}
BATCH: Final[dict[str, Any]] = {
    "atomic": False,
    "transactions": [
        {"type": "deposit", "idempotency_key": "payroll-1", "account_id": ACCOUNT, "amount": 5000},
        {"type": "transfer", "idempotency_key": "payroll-2", "source": ACCOUNT, "destination": OTHER, "amount": 100},
    ],
}
HOLD: Final[dict[str, Any]] = {"account_id": ACCOUNT, "amount": 500, "destination_id": OTHER, "expires_in": 3600}
CAPTURE: Final[dict[str, Any]] = {"amount": 400}
PLAIN: Final[dict[str, Any]] = {"metadata": {"reason": "ordered twice"}}
