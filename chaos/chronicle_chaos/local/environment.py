"""What a service of a local cluster is told, and what it must not hear of the terminal that it was started from."""

from __future__ import annotations

import os
from collections.abc import Mapping

KEPT = frozenset({"CHRONICLE_LOG_LEVEL", "CHRONICLE_LOG_FORMAT"})
FOREIGN = ("CHRONICLE_", "PG")
"""Settings of another ledger, and libpq's own variables (PGHOST, PGOPTIONS, PGSSLMODE …), which libpq obeys wherever a
URL leaves something open. Either would turn the ledger under test into another one than was asked for."""


def inherited(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of this process without what could steer a ledger; how it logs may still be set."""
    return {name: value for name, value in source.items() if name in KEPT or not name.startswith(FOREIGN)}


def settings(**values: str | None) -> dict[str, str]:
    """The ledger's settings as environment variables; what is empty is left out."""
    return {f"CHRONICLE_{name}": value for name, value in values.items() if value}
