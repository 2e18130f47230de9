"""What the proof keeps of contradictions, and what is too much for it to decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from chronicle_ledger.proof import service
from chronicle_ledger.proof.check import Result
from chronicle_ledger.proof.contradictions import KEPT, Contradiction, Contradictions
from chronicle_ledger.proof.restore_ledger import NotRestored, restore_from_stream
from chronicle_ledger.store.audit_service import Applied
from chronicle_ledger.store.migrate import migrations


async def test_more_contradictions_than_are_kept_are_not_restored_and_nothing_is_touched() -> None:
    contradictions = Contradictions()
    one = Contradiction(UUID(int=1), 1, "is not what was posted")
    for _ in range(100_001):
        contradictions.note(one)
    assert (contradictions.count, len(contradictions.kept)) == (100_001, KEPT)
    untouched = cast("Any", None)  # neither the database nor the stream may be asked
    with pytest.raises(NotRestored, match="100001 transactions are too many to restore; restore from a backup"):
        await restore_from_stream(untouched, untouched, contradictions)


async def test_a_migration_that_this_program_does_not_know_leaves_the_proof_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    known = [Applied(it.version, it.name, it.checksum, now) for it in migrations()]
    later = Applied(9999, "of_a_newer_program", "00", now)

    async def applied(_: Any) -> AsyncIterator[Applied]:
        for row in [*known, later]:
            yield row

    monkeypatch.setattr("chronicle_ledger.store.audit_service.migrations", applied)
    audit = service.ServiceAudit()
    await audit._migrations(cast("Any", None), now)
    assert audit.service.result is Result.INCONCLUSIVE
    assert "row 9999 (of_a_newer_program), which this program does not know" in audit.service.message
    known[0] = Applied(known[0].version, "another", known[0].checksum, now)
    audit = service.ServiceAudit()
    await audit._migrations(cast("Any", None), now)
    assert audit.service.result is Result.FAILED, "a difference is told before what cannot be known"
