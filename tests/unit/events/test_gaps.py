# ruff: noqa: ARG002 - the world here keeps the signatures of the store
"""What a batch of the stream lacks is read once, in bounded pages, however much that is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from chronicle_ledger.domain.payload import SCHEMA
from chronicle_ledger.events import delivery
from chronicle_ledger.events.delivery import deliver, parts
from chronicle_ledger.events.view_writer import GAP_ACCOUNTS, GAP_ENTRIES, ViewWriter
from chronicle_ledger.store import view_writes
from chronicle_ledger.store.view_rows import Progress, Projection, ViewEntry, ViewState

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def entry(account: UUID, version: int, source: int | None = None) -> ViewEntry:
    """Each entry adds 1, so an account's balance is its version."""
    txn = UUID(int=version)
    return ViewEntry(account, "EUR", version, 1, 0, version, 0, txn, "transfer", NOW, NOW, "tests", source)


class World:
    """A ledger of accounts that each have so many versions, a view, and how much of both was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, versions: dict[UUID, int]) -> None:
        self.versions = versions
        self.removed: set[tuple[UUID, int]] = set()
        self.view: dict[UUID, ViewState] = {}
        self.statements = 0
        self.states_read = 0
        self.asked_for: list[int] = []
        self.written = 0
        for name in ("lock_generation", "states", "ledger_entries", "ledger_versions", "write", "advance"):
            monkeypatch.setattr(view_writes, name, getattr(self, name), raising=False)
        self.writer = ViewWriter(self)  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[World]:
        yield self

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = dict(self.view)
        try:
            yield
        except BaseException:
            self.view = before
            raise

    async def lock_generation(self, conn: object) -> int:
        self.statements += 1
        return 1

    async def states(self, conn: object, generation: int, accounts: Sequence[UUID]) -> dict[UUID, ViewState]:
        self.statements += 1
        self.states_read += len(accounts)
        return {account: self.view[account] for account in accounts if account in self.view}

    async def ledger_entries(self, conn: object, wanted: Sequence[tuple[UUID, int]]) -> list[ViewEntry]:
        self.statements += 1
        self.asked_for.append(len(wanted))
        return [
            entry(account, version) for account, version in wanted
            if version <= self.versions.get(account, 0) and (account, version) not in self.removed
        ]  # fmt: skip

    async def ledger_versions(self, conn: object, accounts: Sequence[UUID]) -> dict[UUID, int]:
        self.statements += 1
        return {account: self.versions[account] for account in accounts if account in self.versions}

    async def write(self, conn: object, generation: int, projection: Projection) -> None:
        self.statements += 1
        self.written += projection.entries
        for account, own in projection.applied.items():
            self.view[account] = ViewState(own[-1].version, own[-1].balance_after, own[-1].held_after)

    async def advance(self, conn: object, progress: Progress) -> None:
        self.statements += 1


def accounts(count: int) -> list[UUID]:
    return [UUID(int=number) for number in range(1, count + 1)]


async def test_a_backlog_that_comes_in_another_order_is_read_once_and_not_again_for_each_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, dict.fromkeys(accounts(500), 400))
    batch = [entry(account, version, 0) for account in world.versions for version in (200, 400)]
    outcome = await world.writer.apply(batch, Progress(1, 0, NOW))
    missing = 500 * 400 - len(batch)
    assert all(state.version == 400 for state in world.view.values())
    assert world.written == 500 * 400, "each entry is written once"
    assert sum(world.asked_for) <= missing + len(batch), "each is read once"
    assert max(world.asked_for) <= GAP_ENTRIES
    pages = missing // GAP_ENTRIES + 500 // GAP_ACCOUNTS + 2
    assert world.states_read <= pages * GAP_ACCOUNTS + 2 * 500
    assert world.statements <= 5 * pages + 20
    assert outcome.gaps + outcome.applied == 500 * 400


async def test_a_message_about_a_history_that_does_not_exist_is_put_aside_at_no_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, stranger = accounts(3)
    world = World(monkeypatch, {first: 10, second: 20_000})
    batch = [entry(first, 10**18, 0), entry(second, 20_000, 1), entry(stranger, 10**15, 2)]
    outcome = await world.writer.apply(batch, Progress(1, 0, NOW))
    assert set(outcome.dead) == {0, 2}
    assert world.view[second].version == 20_000
    assert sum(world.asked_for) < 21_000


async def test_entries_that_the_ledger_itself_lacks_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    (account,) = accounts(1)
    world = World(monkeypatch, {account: 20_000})
    world.removed = {(account, version) for version in range(10, 20_000)}
    outcome = await world.writer.apply([entry(account, 20_000, 0)], Progress(1, 0, NOW))
    assert world.view[account].version in {9, 20_000}
    assert len(world.asked_for) < 10, outcome


def message(account: UUID, first: int, entries: int) -> Any:
    """A message whose transaction has so many entries."""
    event = {
        "schema": SCHEMA, "id": str(UUID(int=first)), "kind": "transfer", "hash": "",
        "posted_at": "2026-01-31T00:00:00Z", "effective_at": "2026-01-31T00:00:00Z",
        "entries": [
            {"account_id": str(account), "currency": "EUR", "version": version, "amount": 1, "held": 0,
             "balance_after": version, "held_after": 0}
            for version in range(first, first + entries)
        ],
    }  # fmt: skip
    place = SimpleNamespace(sequence=SimpleNamespace(stream=first), num_pending=0, timestamp=NOW)
    return SimpleNamespace(data=json.dumps(event).encode(), metadata=place)


async def test_a_batch_is_committed_by_entries_and_not_by_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    (account,) = accounts(1)
    world = World(monkeypatch, {account: 60})
    monkeypatch.setattr(delivery, "ENTRIES", 20)
    sizes: list[int] = []
    apply = world.writer.apply

    async def counted(entries: Sequence[ViewEntry], progress: Progress) -> Any:
        sizes.append(len(entries))
        return await apply(entries, progress)

    monkeypatch.setattr(world.writer, "apply", counted)
    found = await deliver(world.writer, [message(account, 1 + 10 * number, 10) for number in range(6)])
    assert sizes == [20, 20, 20]
    assert (found.applied, found.dead, world.view[account].version) == (6, {}, 60)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [(0, 0)]),
        ([0, 0], [(0, 2)]),
        ([50, 50, 1], [(0, 2), (2, 3)]),
        ([500, 1, 99, 1], [(0, 1), (1, 3), (3, 4)]),
        ([1, 500], [(0, 1), (1, 2)]),
    ],
)
def test_a_part_holds_so_many_entries_and_a_larger_message_stands_alone(
    sizes: list[int], expected: list[tuple[int, int]]
) -> None:
    assert parts(sizes, 100) == expected
