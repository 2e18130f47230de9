"""The components that /health looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chronicle_ledger.store import migrate
from chronicle_ledger.store.pool import Database


class DatabaseComponent:
    """The database, without which nothing works."""

    name = "database"
    vital = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def probe(self) -> Mapping[str, Any]:
        """Whether it answers and has the schema of this version."""
        async with self._database.connection(1.0) as connection:
            current = await migrate.is_current(connection)
        if not current:
            return {"status": "down", "error": "the schema is not this version's; run `chronicle migrate`"}
        return {"status": "ok"}
