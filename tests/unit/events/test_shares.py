"""Shares of the work among the processes of a role: fair, kept while nothing changes, and lost in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from chronicle_ledger.ending import end
from chronicle_ledger.events import shares
from chronicle_ledger.events.shares import RENEWALS, SWEEP_SECONDS, Shares
from chronicle_ledger.store.leases import Share

ITEMS = ("00", "01", "02", "03", "04")
NAMES = [f"relay/{item}" for item in ITEMS]


class Table:
    """The leases and workers of a database, with a clock of its own; it stands for `store.leases`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failure: Exception | None = None
        self.workers: dict[str, float] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.swept: list[float] = []

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Table]:
        if self.failure is not None:
            raise self.failure
        yield self

    async def beat(self, _: Any, role: str, worker: str, seconds: float) -> None:
        assert role == "relay"
        self.workers[worker] = self.now + seconds

    async def sweep(self, _: Any, role: str) -> None:
        assert role == "relay"
        self.swept.append(self.now)

    async def share(self, _: Any, role: str, names: Sequence[str], holder: str) -> Share:
        assert role == "relay"
        alive = sum(ends >= self.now for ends in self.workers.values())
        taken = {name for name, (by, ends) in self.leases.items() if by != holder and ends >= self.now}
        return Share(alive, [name for name in names if name not in taken])

    async def release(self, _: Any, names: Sequence[str], holder: str) -> None:
        for name in names:
            if self.leases[name][0] == holder:  # another one may have taken it over meanwhile
                del self.leases[name]

    async def claim(self, _: Any, names: Sequence[str], holder: str, seconds: float) -> set[str]:
        for name in names:
            self.leases[name] = (holder, self.now + seconds)
        return set(names)

    async def leave(self, _: Any, role: str, worker: str) -> None:
        assert role == "relay"
        del self.workers[worker]
        self.leases = {name: it for name, it in self.leases.items() if it[0] != worker}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """One database for all processes of a test."""
    made = Table()
    monkeypatch.setattr(shares, "leases", made)
    return made


def process(table: Table, name: str) -> Shares:
    """A process of the role."""
    return Shares(table, "relay", name, ITEMS, seconds=3.0, clock=lambda: table.now)  # type: ignore[arg-type]


async def test_one_process_has_all_and_two_share_so_that_work_moves_only_once(table: Table) -> None:
    one, two = process(table, "one"), process(table, "two")
    assert one.held == []
    await one.renew()
    assert one.held == list(ITEMS)
    assert one.changed.is_set()
    await two.renew()
    assert two.held == [], "the other one still has them"
    one.changed.clear()
    await one.renew()
    assert (one.held, one.changed.is_set()) == (["00", "01", "02"], True)
    await two.renew()
    assert two.held == ["03", "04"]
    one.changed.clear()
    for _ in range(3):
        for each in (two, one):
            await each.renew()
    assert (one.held, two.held, one.changed.is_set()) == (["00", "01", "02"], ["03", "04"], False)


async def test_the_share_of_a_dead_process_is_taken_over_and_what_is_held_stays(table: Table) -> None:
    one, two = process(table, "one"), process(table, "two")
    for each in (one, two, one, two):
        await each.renew()
    assert two.held == ["03", "04"]
    table.now = 3.1
    assert one.held == [], "unrenewed leases are nobody's"
    await two.renew()
    assert two.held == list(ITEMS)
    await one.renew()
    assert one.held == [], "what the other one took over is its own"
    await two.renew()
    await one.renew()
    assert (one.held, two.held) == (["03", "04"], ["00", "01", "02"])


async def test_what_is_held_lasts_from_the_beginning_of_a_renewal_as_long_as_a_lease(table: Table) -> None:
    one = process(table, "one")
    await one.renew()
    table.now = 2.9
    assert one.held == list(ITEMS)
    table.now = 3.0
    assert one.held == []


async def test_who_gives_up_is_gone_at_once_and_a_database_that_is_away_does_not_keep_it(table: Table) -> None:
    one, two = process(table, "one"), process(table, "two")
    for each in (one, two, one, two):
        await each.renew()
    await one.give_up()
    assert (one.held, list(table.workers)) == ([], ["two"])
    await two.renew()
    assert two.held == list(ITEMS)
    table.failure = OSError("gone")
    await two.give_up()
    assert two.held == []


async def test_the_rows_of_the_dead_are_removed_once_a_minute(table: Table) -> None:
    one = process(table, "one")
    for moment in (0.0, SWEEP_SECONDS - 1, SWEEP_SECONDS, SWEEP_SECONDS + 1, 2 * SWEEP_SECONDS):
        table.now = moment
        await one.renew()
    assert table.swept == [0.0, SWEEP_SECONDS, 2 * SWEEP_SECONDS]


@pytest.mark.parametrize(("failure", "said"), [(OSError("no route"), "no route"), (TimeoutError(), "TimeoutError")])
async def test_a_renewal_that_fails_is_logged_with_its_reason_and_tried_again(
    table: Table, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    told: list[str] = []
    pauses: list[float] = []
    monkeypatch.setattr(shares.log, "warning", lambda _, **more: told.append(more["error"]), raising=False)
    one = process(table, "one")
    renewed = asyncio.Event()
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            table.failure = None
        if one.held:
            renewed.set()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    table.failure = failure
    running = asyncio.create_task(one.run())
    await renewed.wait()
    await end(running)
    assert told == [said, said]
    assert set(pauses) == {3.0 / RENEWALS}, "so that one slow statement loses no lease"
