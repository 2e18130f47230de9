"""The users of the database: one for each process, with the roles whose rights it has (`store.roles` of the ledger)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

API: Final = "chronicle_api"
RELAY: Final = "chronicle_relay"
PROJECTOR: Final = "chronicle_projector"
PROOF: Final = "chronicle_proof"
"""Of the process that makes a proof for the API."""
SEAL: Final = "chronicle_seal"
BACKUP: Final = "chronicle_backup"
"""Of the Job that makes a backup."""
PEOPLE: Final = "chronicle_people"
"""Of what people run; no process uses it."""
STATUS: Final = "chronicle_status"
"""Reads the state of CockroachDB's nodes for `/health`, and no table of the ledger."""

USERS: Final[Mapping[str, tuple[str, ...]]] = {
    API: ("api",),
    RELAY: ("relay",),
    PROJECTOR: ("projector",),
    PROOF: ("proof",),
    SEAL: ("seal",),
    BACKUP: ("backup",),
    PEOPLE: ("rebuild", "reconcile", "backup"),
    STATUS: (),
}

SERVING: Final[Mapping[str, str]] = {"api": API, "relay": RELAY, "projector": PROJECTOR}
"""Role of `chronicle serve` → its user."""
