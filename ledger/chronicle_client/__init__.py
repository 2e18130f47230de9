"""The Python client of ChronicleLedger's HTTP API: docs/client.md begins with an example.

An operation such as `transfer(...)` describes one intent and holds its idempotency key. `Client.send` and
`AsyncClient.send` make the request, and repeat it where that is safe.
"""

from __future__ import annotations

from chronicle_client.answers import (
    Account,
    Balance,
    Entry,
    Health,
    HistoryEntry,
    Hold,
    Page,
    StatementLine,
    Transaction,
    TrialBalance,
    TrialLine,
    ViewBalance,
)
from chronicle_client.clients import AsyncClient, Client
from chronicle_client.errors import (
    ClientError,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotFound,
    Problem,
    Refused,
    ServerFault,
    Unavailable,
)
from chronicle_client.money import Money
from chronicle_client.operations import (
    Operation,
    Pages,
    accounts,
    capture,
    deposit,
    get_account,
    get_balance,
    get_health,
    get_hold,
    get_transaction,
    get_trial_balance,
    history,
    hold,
    journal,
    leg,
    open_account,
    release,
    reverse,
    statement,
    transfer,
    update_account,
    view_balances,
    withdrawal,
)
from chronicle_client.retries import Retries

__all__ = [
    "Account", "AsyncClient", "Balance", "Client", "ClientError", "Entry", "Health", "HistoryEntry", "Hold",
    "InvalidRequest", "Money", "NoAnswer", "NotAllowed", "NotFound", "Operation", "Page", "Pages", "Problem", "Refused",
    "Retries", "ServerFault", "StatementLine", "Transaction", "TrialBalance", "TrialLine", "Unavailable", "ViewBalance",
    "accounts", "capture", "deposit", "get_account", "get_balance", "get_health", "get_hold", "get_transaction",
    "get_trial_balance", "history", "hold", "journal", "leg", "open_account", "release", "reverse", "statement",
    "transfer", "update_account", "view_balances", "withdrawal",
]  # fmt: skip
