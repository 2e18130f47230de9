"""Bringing entries into the read model: one database transaction for view and position."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TypeVar
from uuid import UUID

from chronicle_ledger import logs
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.events.backoff import Backoff
from chronicle_ledger.events.projection import Contradiction, missing, project, project_blindly
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store import view_writes
from chronicle_ledger.store.pool import Connection, Database
from chronicle_ledger.store.view_rows import Progress, Projection, ViewEntry, ViewState

log = logs.get(__name__)

T = TypeVar("T")

GAP_ENTRIES = 5000
"""Where a batch lacks more (a view that starts empty, a stream that comes shard after shard), it is read in pages of
this size, a transaction each, before the batch is applied. So memory stays bounded, and each entry is read once."""

GAP_ACCOUNTS = 100
"""Accounts that one such page looks at, at most."""

ATTEMPTS = 5


@dataclass(slots=True)
class Applied:
    """What became of a batch: entries applied, skipped, read from the ledger; and messages that contradict it.
    `sources` are the messages that brought an entry which was applied."""

    applied: int = 0
    skipped: int = 0
    gaps: int = 0
    sources: set[int] = field(default_factory=set)
    dead: dict[int, str] = field(default_factory=dict)


class _MuchMissing(Exception):
    """The batch lacks more than one page; `until` names the last missing version of each account."""

    def __init__(self, until: Mapping[UUID, int]) -> None:
        super().__init__()
        self.until = until


@dataclass(slots=True)
class _GapPage:
    """What one page did: entries written, accounts that need no more, accounts of which the ledger has no more."""

    written: int = 0
    done: set[UUID] = field(default_factory=set)
    holes: set[UUID] = field(default_factory=set)


async def in_transaction(database: Database, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in one transaction, again when the database asks for it (serialization, lost connection).

    Everything written here is written by key and version, so running it twice does what running it once does.
    Raises DatabaseUnavailable after `ATTEMPTS`.
    """
    backoff = Backoff(first=0.02, most=0.5)
    for attempt in range(ATTEMPTS):
        try:
            async with database.connection() as conn, conn.transaction():
                return await work(conn)
        except DatabaseUnavailable:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(backoff.after_failure())
    raise AssertionError("the loop returns or raises")


class ViewWriter:
    """Applies batches by the version rule."""

    def __init__(self, database: Database, broken: Sabotage | None = None) -> None:
        self._database = database
        self._blind = broken is Sabotage.PROJECTOR_RULE

    async def apply(self, entries: Sequence[ViewEntry], progress: Progress) -> Applied:
        """Bring a batch into the view and move the position with it. Raises DatabaseUnavailable."""
        holes: frozenset[UUID] = frozenset()
        filled = 0
        while True:
            work = partial(self._apply, entries=entries, progress=progress, holes=holes, filled=filled)
            try:
                return await in_transaction(self._database, work)
            except _MuchMissing as gaps:
                log.info(
                    "entries are read from the ledger, since the stream has not brought them", accounts=len(gaps.until)
                )
                count, unfilled = await self._fill_gaps(gaps.until)
                filled += count
                holes |= unfilled

    async def _apply(
        self,
        conn: Connection,
        entries: Sequence[ViewEntry],
        progress: Progress,
        holes: frozenset[UUID],
        filled: int,
    ) -> Applied:
        generation = await view_writes.lock_generation(conn)
        states = await view_writes.states(conn, generation, sorted({e.account_id for e in entries}))
        outcome = Applied()
        if self._blind:
            projection = project_blindly(states, entries)
        else:
            projection = await self._by_version(conn, states, list(entries), outcome, holes)
            outcome.gaps += filled
        await view_writes.write(conn, generation, projection)
        outcome.applied, outcome.skipped, outcome.sources = projection.entries, projection.skipped, projection.sources
        await view_writes.advance(
            conn,
            replace(
                progress, applied=outcome.applied, skipped=outcome.skipped, gaps=outcome.gaps,
                dead=progress.dead + len(outcome.dead),
            ),
        )  # fmt: skip
        return outcome

    async def _by_version(
        self,
        conn: Connection,
        states: dict[UUID, ViewState],
        entries: list[ViewEntry],
        outcome: Applied,
        holes: frozenset[UUID],
    ) -> Projection:
        filled = await self._missing(conn, states, entries, holes)
        outcome.gaps = len(filled)
        entries = [*entries, *filled]
        trusted: set[tuple[UUID, int]] = set()
        while isinstance(result := project(states, entries, frozenset(trusted)), Contradiction):
            # Either the message is wrong or the view before it is. The ledger decides.
            accused = result.entry
            truth = await view_writes.ledger_entries(conn, [(accused.account_id, accused.version)])
            if truth and truth[0].same_money(accused):
                log.warning("the read model had been changed; the ledger's word replaces it", reason=result.reason)
                trusted.add((accused.account_id, accused.version))
            else:
                # A message that contradicts the ledger is not believed in any of its entries; they are read from the
                # ledger when the next message on their accounts shows the gap.
                if accused.source is None:
                    raise RuntimeError(f"the ledger changed while it was read: {result.reason}")
                outcome.dead[accused.source] = result.reason
                entries = [entry for entry in entries if entry.source != accused.source]
        return result

    async def _missing(
        self, conn: Connection, states: dict[UUID, ViewState], entries: Sequence[ViewEntry], holes: frozenset[UUID]
    ) -> list[ViewEntry]:
        """What the ledger has between view and batch. Raises _MuchMissing where that is more than one page."""
        gaps = missing(states, entries)
        if _length(gaps) > GAP_ENTRIES:
            # A message may speak of a history that does not exist. What the ledger lacks is not waited for.
            versions = await view_writes.ledger_versions(conn, sorted({account for account, _, _ in gaps}))
            gaps = [
                (account, first, min(last, versions.get(account, 0))) for account, first, last in gaps
                if account not in holes and first <= versions.get(account, 0)
            ]  # fmt: skip
            if _length(gaps) > GAP_ENTRIES:
                raise _MuchMissing({account: last for account, _, last in gaps})
        wanted = [(account, version) for account, first, last in gaps for version in range(first, last + 1)]
        return await view_writes.ledger_entries(conn, wanted) if wanted else []

    async def _fill_gaps(self, until: Mapping[UUID, int]) -> tuple[int, set[UUID]]:
        """Bring accounts to the ledger's versions `until`, a page a transaction. Return how many entries were written,
        and the accounts of which the ledger itself lacks entries."""
        waiting = dict(sorted(until.items()))
        holes: set[UUID] = set()
        total = 0
        while waiting:
            chunk = dict(islice(waiting.items(), GAP_ACCOUNTS))
            total += (page := await in_transaction(self._database, partial(self._gap_page, until=chunk))).written
            holes |= page.holes
            for account in page.done | page.holes:
                del waiting[account]
        return total, holes

    async def _gap_page(self, conn: Connection, until: Mapping[UUID, int]) -> _GapPage:
        generation = await view_writes.lock_generation(conn)
        states = await view_writes.states(conn, generation, list(until))
        page = _GapPage()
        wanted: list[tuple[UUID, int]] = []
        asked: set[UUID] = set()
        for account, last in until.items():
            at = states.get(account, ViewState()).version
            if at >= last:
                page.done.add(account)
            elif room := GAP_ENTRIES - len(wanted):
                asked.add(account)
                wanted.extend((account, version) for version in range(at + 1, min(last, at + room) + 1))
        entries = await view_writes.ledger_entries(conn, wanted) if wanted else []
        page.holes = asked - {entry.account_id for entry in entries}
        projection = _of_the_ledger(states, entries)
        await view_writes.write(conn, generation, projection)
        page.written = projection.entries
        page.done |= {account for account, own in projection.applied.items() if own[-1].version >= until[account]}
        return page

    async def fill(self, account: UUID, version: int | None = None, generation: int | None = None) -> int:
        """Bring the ledger's entries of `account` up to `version` (default: all) into the view, a page a transaction;
        return how many. `generation` None is the one that is read."""

        async def page(conn: Connection) -> int:
            # A generation that is not read yet belongs to its rebuild alone.
            of = generation if generation is not None else await view_writes.lock_generation(conn)
            return await self.fill_page(conn, of, account, version)

        total = 0
        while added := await in_transaction(self._database, page):
            total += added
        return total

    async def fill_page(self, conn: Connection, generation: int, account: UUID, version: int | None = None) -> int:
        """One page of `fill`, in the caller's transaction."""
        states = await view_writes.states(conn, generation, [account])
        at = states.get(account, ViewState()).version
        limit = GAP_ENTRIES if version is None else min(GAP_ENTRIES, version - at)
        if limit <= 0:
            return 0
        page = await view_writes.account_page(conn, account, at, limit)
        projection = _of_the_ledger(states, page)
        await view_writes.write(conn, generation, projection)
        return projection.entries


def _length(gaps: Sequence[tuple[UUID, int, int]]) -> int:
    return sum(last - first + 1 for _, first, last in gaps)


def _of_the_ledger(states: Mapping[UUID, ViewState], entries: Sequence[ViewEntry]) -> Projection:
    """Project entries that the ledger itself says."""
    projection = project(states, entries, frozenset((entry.account_id, entry.version) for entry in entries))
    if isinstance(projection, Contradiction):
        raise TypeError("trusted entries do not contradict")
    return projection
