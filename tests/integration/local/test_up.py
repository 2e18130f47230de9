"""`chronicle up` gives a ledger that can be used, and broken from another process: one ledger for all of these."""

from __future__ import annotations

import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import psycopg
import pytest
import pytest_asyncio

from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.faults.partition import Partition
from chronicle_chaos.injectors.injection import Injection, NotApplicable
from chronicle_chaos.injectors.local.injector import LocalInjector
from chronicle_chaos.local.waiting import until
from chronicle_chaos.run.undo import FileUndoLog
from chronicle_chaos.target import Target
from support.local_ledger import processes_that_mention, refused, short_temporary_folder, up

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("one-ledger-that-is-up"),
]
Up = tuple[Process, Target, Path]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledger() -> AsyncIterator[Up]:
    """A ledger on PostgreSQL, its process, and the folder of its target file (the name of a Unix socket ends after
    107 bytes, so it is a short one)."""
    folder = short_temporary_folder()
    async with up(folder, "postgres") as (child, target):
        yield child, target, folder
    shutil.rmtree(folder)


async def test_up_serves_a_ledger(ledger: Up) -> None:
    _, target, folder = ledger
    assert {"chronicle-ledger", "nats", "postgresql"} <= set(target.details["versions"])
    async with aiohttp.ClientSession() as session:
        headers = {"Idempotency-Key": "first"}
        async with session.post(f"{target.url}/v1/accounts", json={"currency": "EUR"}, headers=headers) as answer:
            assert answer.status == 201
            account = (await answer.json())["id"]
        async with session.get(f"{target.url}/v1/accounts/{account}") as answer:
            assert (await answer.json())["balance"] == 0
    assert len(processes_that_mention(str(folder))) > 3


async def test_each_process_of_it_uses_a_database_user_of_its_own(ledger: Up) -> None:
    _, target, _ = ledger
    async with aiohttp.ClientSession() as session, session.get(f"{target.url}/v1/proof") as answer:
        assert (await answer.json())["result"] == "Passed"  # as a user that may only read
    async with await psycopg.AsyncConnection.connect(str(target.details["database_url"])) as administrator:
        cursor = await administrator.execute(
            "SELECT DISTINCT split_part(application_name, ' ', 1), usename FROM pg_stat_activity"
            " WHERE application_name LIKE 'chronicle-%'"
        )
        told = {(name.removeprefix("chronicle-").partition("-")[0], user) for name, user in await cursor.fetchall()}
    assert told == {(role, f"chronicle_{role}") for role in ("api", "relay", "projector")}


async def test_a_second_ledger_is_refused_while_the_first_lives(ledger: Up) -> None:
    first, target, folder = ledger
    before = (folder / "target.json").read_bytes()
    said = await refused(folder)
    assert f"process {first.pid}" in said
    assert "--target-file" in said
    assert (folder / "target.json").read_bytes() == before
    async with aiohttp.ClientSession() as session, session.get(f"{target.url}/readyz") as answer:
        assert answer.status == 200


async def test_one_postgresql_cannot_have_a_quorum_and_the_injector_says_what_to_install(ledger: Up) -> None:
    _, target, _ = ledger
    injector = LocalInjector(target)
    for fault in (NodeKill(Component.COCKROACH), Partition()):
        with pytest.raises(NotApplicable) as refusal:
            await injector.preflight(fault)
        assert "chronicle fetch cockroach" in refusal.value.next_step
    for possible in (Outage(Component.NATS), Crashes(Component.API, 3)):
        await injector.preflight(possible)


async def test_an_outage_and_a_crash_are_done_proven_and_undone_from_another_process(
    ledger: Up, tmp_path: Path
) -> None:
    _, target, _ = ledger
    injector = LocalInjector(target)
    undo = FileUndoLog(tmp_path / "undo.jsonl", "test")
    outage = await injector.inject(Outage(Component.NATS), undo, Random(1))
    assert len(outage.targets) == 3
    assert (await injector.evidence(outage)).proven
    assert not (await injector.healed(outage)).proven
    await _heal(injector, outage)
    assert not (await injector.evidence(outage)).proven, "what is healed must not look like a fault"

    crash = await injector.inject(Crashes(Component.API, 1), undo, Random(1))
    assert (await injector.evidence(crash)).proven
    await _heal(injector, crash)
    assert "release" in (tmp_path / "undo.jsonl").read_text()


async def _heal(injector: LocalInjector, injection: Injection) -> None:
    await injector.heal(injection)

    async def healed() -> bool:
        return (await injector.healed(injection)).proven

    await until(healed, "everything is back", seconds=60)
