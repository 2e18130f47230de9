"""Ending holds whose time has come."""

from __future__ import annotations

from uuid import UUID, uuid5

import structlog

from chronicle_ledger.domain.commands import KEY_NAMESPACE, ReleaseHold, fingerprint
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.posting.batch import Clock
from chronicle_ledger.posting.service import PostingService, utc_now
from chronicle_ledger.store import reads
from chronicle_ledger.store.pool import Database

_log = structlog.get_logger(__name__)

_FINGERPRINT = fingerprint(b"expiry")


def expiry_command(hold_id: UUID) -> ReleaseHold:
    """The command that expires a hold. Its id follows from the hold's, so all replicas may try: it is posted once."""
    return ReleaseHold(
        id=uuid5(KEY_NAMESPACE, f"expiry\x00{hold_id}"), fingerprint=_FINGERPRINT, hold_id=hold_id, expired=True
    )


class HoldExpiry:
    """Looks for expired holds and posts their expiry; how often is up to who calls `sweep`."""

    def __init__(self, service: PostingService, database: Database, *, clock: Clock = utc_now) -> None:
        self._service = service
        self._database = database
        self._clock = clock

    async def sweep(self) -> int:
        """One look; how many holds it expired. Raises DatabaseUnavailable."""
        expired = await reads.expired_holds(self._database, self._clock())
        commands = [expiry_command(hold_id) for hold_id in expired]
        results = await self._service.submit_many(commands, atomic=False)
        refused = [result for result in results if isinstance(result, LedgerError)]
        for error in refused:
            _log.info("expiry.refused", code=error.code, message=error.message)
        return len(results) - len(refused)
