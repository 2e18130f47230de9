"""Ending holds whose time has come."""

from __future__ import annotations

import structlog

from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.holds import expiry_of
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.store import reads
from chronicle_ledger.store.pool import Database

_log = structlog.get_logger(__name__)

PAGE = 500


class HoldExpiry:
    """Looks for holds that are over and posts their expiry; how often is up to who calls `sweep`.

    A posting that needs what such holds set aside does not wait for it (`NotLoaded.ended_on`).
    """

    def __init__(self, service: PostingService, database: Database) -> None:
        self._service = service
        self._database = database

    async def sweep(self) -> int:
        """Expire all that are over now; how many there were. Raises DatabaseUnavailable."""
        expired = 0
        while True:
            over = await reads.ended_holds(self._database, PAGE)
            commands = [expiry_of(hold_id) for hold_id in over]
            results = await self._service.submit_many(commands, atomic=False)
            refused = [result for result in results if isinstance(result, LedgerError)]
            for error in refused:
                _log.info("expiry.refused", code=error.code, message=error.message)
            expired += len(results) - len(refused)
            if len(over) < PAGE or len(refused) == len(over):
                return expired
