"""What the service's processes write for one another: who works at what until when, and which migrations were applied.

Nothing of it changes what the ledger says. A row of it can stop a relay, a projector or a migration, though.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chronicle_ledger.proof.check import Check, Result
from chronicle_ledger.store import audit_service
from chronicle_ledger.store.audit_service import Applied, ProjectionRow
from chronicle_ledger.store.guarded import Moment
from chronicle_ledger.store.migrate import migrations
from chronicle_ledger.store.pool import Connection
from chronicle_ledger.store.view_writes import POSITION

LONGEST = timedelta(hours=1)
"""No process takes a lease, or says that it lives, for so long."""

SKEW = timedelta(minutes=1)
"""By how much the clocks of a database's nodes may differ, generously."""


class ServiceAudit:
    """Runs the check of leases, workers, the projection's position and migrations."""

    def __init__(self) -> None:
        self.service = Check(
            "service", "rows", "leases, workers, projection and migrations are as the service's processes write them"
        )

    async def run(self, conn: Connection) -> None:
        """Look at all rows; there are few."""
        now = await audit_service.now(conn)
        async for row in audit_service.lives(conn):
            self.service.compared += 1
            if not _before(row.expires_at, now, LONGEST):
                self.service.differ(
                    f"the row {row.key} of the table {row.table} lasts until {row.expires_at}, longer than any process"
                    " takes it for; it stops the work that it names. Delete it",
                    table=row.table, key=row.key,
                )  # fmt: skip
        async for projection in audit_service.projections(conn):
            self._projection(projection, now)
        await self._migrations(conn, now)

    def _projection(self, row: ProjectionRow, now: Moment) -> None:
        self.service.compared += 1
        counts = (row.stream_sequence, row.pending, row.applied, row.skipped, row.gaps, row.dead)
        times = [moment for moment in (row.posted_at, row.updated_at) if moment is not None]
        wrong = None
        if row.name != POSITION:
            wrong = "is of no projector"
        elif min(counts) < 0:
            wrong = "counts less than nothing"
        elif not all(_before(moment, now, SKEW) for moment in times):
            wrong = "is dated in the future, or at no time at all"
        elif isinstance(row.posted_at, datetime) and not _before(row.posted_at, row.updated_at, SKEW):
            wrong = "was written before what it projected was posted"
        if wrong is not None:
            self.service.differ(f"the row {row.name} of the table projection {wrong}", table="projection", key=row.name)

    async def _migrations(self, conn: Connection, now: Moment) -> None:
        due = {migration.version: migration for migration in migrations()}
        later: list[Applied] = []
        async for row in audit_service.migrations(conn):
            self.service.compared += 1
            migration = due.pop(row.version, None)
            if migration is None:
                later.append(row)
            elif row.name != migration.name or not migration.was_applied_as(row.checksum):
                self.service.differ(
                    f"the row {row.version} of the table schema_migration is not migration {migration.name} of this"
                    " program",
                    table="schema_migration", key=row.version,
                )  # fmt: skip
            elif not _before(row.applied_at, now, SKEW):
                self.service.differ(
                    f"the row {row.version} of the table schema_migration is dated {row.applied_at}",
                    table="schema_migration", key=row.version,
                )  # fmt: skip
        for version, migration in due.items():
            self.service.differ(
                f"the table schema_migration lacks the row {version} ({migration.name}); run `chronicle migrate`",
                table="schema_migration", key=version,
            )  # fmt: skip
        if later and not self.service.differences:
            # A newer program may have migrated: this one cannot know.
            self.service.prevent(
                Result.INCONCLUSIVE,
                f"the table schema_migration has the row {later[0].version} ({later[0].name}), which this program does"
                " not know; ask for the proof of the program that made it",
            )


def _before(moment: Moment, than: Moment, by: timedelta) -> bool:
    """Whether `moment` is earlier than `than`, or later by `by` at most. No time at all is earlier than none."""
    return isinstance(moment, datetime) and isinstance(than, datetime) and moment - than <= by
