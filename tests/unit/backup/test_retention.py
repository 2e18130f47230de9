"""What may be deleted of a destination's backups, and that what stays can still be put back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chronicle_cli.backup import backup as command
from chronicle_ledger.backup import Manifest
from chronicle_ledger.backup.chain import listed
from chronicle_ledger.backup.destination import Destination, open_url
from chronicle_ledger.backup.manifest import Link, Source
from chronicle_ledger.backup.retention import MOST_AT_ONCE, beyond, prune
from chronicle_ledger.backup.verify import Verify
from chronicle_ledger.domain.canonical import timestamp
from support.backups import START, PaperLedger, in_memory, write


@dataclass(frozen=True)
class Made:
    """A backup that was made so many hours after the one before; `full` begins a chain."""

    hours: int
    full: bool


PLAIN = Manifest(
    format=1, id="20260131T090000000000Z-00000000", number=0, at=timestamp(START), transactions=1, entries=2,
    accounts=2, ledger_transactions=1, ledger_accounts=2, head="00" * 32, first_posted_at=None, last_posted_at=None,
    seal=None, previous=None, source=Source("postgresql", 1, "test", {}), encryption=None, segments=[],
    public_key="00" * 32,
)  # fmt: skip


def history(sample: Manifest, made: list[Made]) -> list[Manifest]:
    """Return manifests as they would lie at a destination, oldest first."""
    found: list[Manifest] = []
    now = START
    for it in made:
        now += timedelta(hours=it.hours)
        before = found[-1] if found and not it.full else None
        found.append(
            msgspec.structs.replace(
                sample,
                id=f"{now:%Y%m%dT%H%M%S}{len(found):06}Z-00000000",
                at=timestamp(now),
                previous=None if before is None else Link(before.id, before.root),
            )
        )
    return found


@given(
    made=st.lists(st.builds(Made, st.integers(1, 100), st.booleans()), max_size=25),
    count=st.none() | st.integers(1, 10),
    hours=st.none() | st.integers(1, 500),
)
def test_what_is_kept_is_whole_and_what_goes_is_wanted_by_no_rule(
    made: list[Made], count: int | None, hours: int | None
) -> None:
    all_ = history(PLAIN, made)
    age = None if hours is None else timedelta(hours=hours)
    gone = beyond(all_, count=count, age=age)
    ids = {it.id for it in gone}
    kept = [it for it in all_ if it.id not in ids]
    if all_:
        assert all_[-1] in kept, "the newest backup stays"
    if count is None and age is None:
        assert gone == []
    assert all(it.previous is None or it.previous.id not in ids for it in kept), "a kept backup has what it continues"
    assert count is None or all_[-count:] == [it for it in all_[-count:] if it in kept]
    needed = {it.previous.id for it in kept if it.previous}
    for place, backup in enumerate(all_):
        by_count = count is not None and place >= len(all_) - count
        by_age = hours is not None and sum(it.hours for it in made[place + 1 :]) < hours
        if backup.id in ids:
            assert not by_count
            assert not by_age
        elif backup is not all_[-1] and (count, hours) != (None, None):
            assert by_count or by_age or backup.id in needed
    places = [all_.index(it) for it in gone]
    assert places == sorted(places, reverse=True), "nothing goes before what continues it"


async def two_chains(destination: Destination) -> list[Manifest]:
    """A full backup with an incremental one, and another full one."""
    ledger = PaperLedger()
    ledger.post(5)
    first = await write(destination, ledger)
    ledger.post(5)
    second = await write(destination, ledger, first)
    ledger.post(5)
    ledger.now += timedelta(hours=1)
    return [first, second, await write(destination, ledger)]


async def test_pruning_removes_whole_chains_and_leaves_what_can_be_verified(tmp_path: Path) -> None:
    destination = open_url(f"file://{tmp_path}/backups", make=True)
    first, second, last = await two_chains(destination)
    assert await prune(destination, count=2, age=None) == [], "the second one is kept, and continues the first"
    assert await prune(destination, count=1, age=None) == [second.id, first.id]
    found = await listed(destination)
    assert (found.whole, found.unfinished) == ([last], []), "no empty folder is left"
    assert (await Verify(destination).run()).last == last
    assert await prune(destination, count=1, age=None) == []


async def test_a_pruning_that_is_interrupted_leaves_nothing_that_looks_like_a_backup() -> None:
    destination = in_memory()
    _, second, last = await two_chains(destination)
    await destination.delete(f"{second.id}/manifest.json")
    found = await listed(destination)
    assert found.unfinished == [second.id]
    assert len(await prune(destination, count=1, age=None)) == 1
    assert (await listed(destination)).whole == [last]
    assert MOST_AT_ONCE >= 1


def test_the_command_wants_to_know_what_to_keep_and_says_what_went(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    run = CliRunner().invoke
    assert run(command, ["prune", url]).exit_code == 2
    assert "no age" in run(command, ["prune", url, "--keep-for", "soon"]).output
    done = run(command, ["prune", url, "--keep", "3", "--keep-for", "30d", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"deleted": []})
