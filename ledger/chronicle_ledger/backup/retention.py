"""Which backups are beyond what shall be kept, and taking them away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from chronicle_ledger.backup.chain import listed
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.manifest import NAME, Manifest

MOST_AT_ONCE = 100
"""So many go in one run: the next one goes on."""


def beyond(backups: Sequence[Manifest], *, count: int | None, age: timedelta | None) -> list[Manifest]:
    """Return which of the backups may go, newest first, so that none goes before one that continues it.

    Kept are the newest `count`, those that are less than `age` older than the newest one, the newest one itself, and
    all that a kept one continues. Without `count` and `age` all are kept. No clock is asked: a wrong one would delete.
    """
    if not backups or (count is None and age is None):
        return []
    ordered = sorted(backups, key=lambda it: it.id, reverse=True)
    by_id = {it.id: it for it in ordered}
    newest = datetime.fromisoformat(ordered[0].at)
    kept: set[str] = set()
    for place, backup in enumerate(ordered):
        recent = age is not None and newest - datetime.fromisoformat(backup.at) < age
        if place == 0 or recent or (count is not None and place < count):
            needed: Manifest | None = backup
            while needed is not None and needed.id not in kept:
                kept.add(needed.id)
                needed = by_id.get(needed.previous.id) if needed.previous else None
    return [it for it in ordered if it.id not in kept]


async def prune(destination: Destination, *, count: int | None, age: timedelta | None) -> list[str]:
    """Delete what is beyond, at most MOST_AT_ONCE, and return the ids. What is broken or unfinished stays, for people.

    A manifest goes before its segments: what is interrupted leaves a folder that counts for nothing. Raises
    BackupError.
    """
    found = await listed(destination)
    gone = beyond(found.whole, count=count, age=age)[:MOST_AT_ONCE]
    for backup in gone:
        names = sorted(await destination.sizes(backup.id), key=lambda it: (it != NAME, it))
        for name in names:
            await destination.delete(f"{backup.id}/{name}")
    return [it.id for it in gone]
