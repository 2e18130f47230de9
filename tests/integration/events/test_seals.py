"""Seals on real databases: what is signed, what is refused, and that sealers never fork."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.domain.account import SYSTEM_ACCOUNTS_PER_CURRENCY
from chronicle_ledger.proof import KeptSeals, prove
from chronicle_ledger.seals import SealBroken, SealedChain, export, file, stored
from chronicle_ledger.seals.document import Rows, sign
from chronicle_ledger.seals.sealer import Made, Sealer, SealRefused
from chronicle_ledger.seals.stored import SealOvertaken
from chronicle_ledger.store import audit
from support.event_bench import ACCOUNTS, EventBench, failures
from support.forger import rewrite_database, rewrite_stream, rewrite_view
from support.ledger_bench import account_named, transfer

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw().hex()
ONE, OTHER = account_named("account 1"), account_named("account 2")


def sealer(bench: EventBench) -> Sealer:
    return Sealer(bench.database, KEY, lambda: datetime.now(UTC))


async def posted(bench: EventBench, key: str) -> None:
    await bench.posting.submit(transfer(key, ONE, OTHER, 1))


async def test_a_seal_covers_what_changed_since_the_last_one_in_database_and_file_alike(
    any_bench: EventBench, tmp_path: Path
) -> None:
    path = tmp_path / "seals.jsonl"
    counts = []
    for number in range(3):
        in_database, in_file = await sealer(any_bench).into_database(), await sealer(any_bench).into_file(path)
        assert in_database.seal is not None
        assert in_file.seal is not None
        assert in_database.made
        assert in_file.made
        assert in_database.seal.rows == in_file.seal.rows
        counts.append((in_database.seal.number, in_database.seal.accounts, in_database.seal.transactions))
        assert not (await sealer(any_bench).into_database(in_database.seal.root)).made, "nothing has changed"
        await posted(any_bench, f"transfer {number}")
    everything = len(ACCOUNTS) + SYSTEM_ACCOUNTS_PER_CURRENCY
    assert counts == [(1, everything, 12), (2, 2, 13), (3, 2, 14)]
    exported: list[str] = []
    assert await export.lines(any_bench.database, exported.append) == 3
    copy = tmp_path / "copy.jsonl"
    copy.write_text("\n".join(exported) + "\n")
    with SealedChain() as kept, SealedChain() as written:
        file.read(copy, kept)
        async with audit.snapshot(any_bench.database) as conn:
            await stored.read(conn, written)
        assert kept.last == written.last is not None
        assert list(kept.states()) == list(written.states())


REWRITINGS = {
    "a hash": ("UPDATE txn SET hash = '\\x00'::BYTEA WHERE id = '{txn}'", "no longer has the head that seal 1 states"),
    "an entry taken away": ("DELETE FROM entry WHERE txn_id = '{txn}'", "no longer has the head that seal 1 states"),
    "an account taken away": (
        "DELETE FROM account WHERE id = '{one}'",
        "{one}, sealed at version 2 by seal 1, is gone",
    ),
    "an account set back": (
        "UPDATE account SET version = 1 WHERE id = '{one}'",
        "is at version 1, and seal 1 states 2",
    ),
    "a head": ("UPDATE account SET head = '\\x00'::BYTEA WHERE id = '{new}'", "its head is not the hash"),
}


async def test_nothing_is_signed_once_the_ledger_no_longer_extends_what_was_sealed(bench: EventBench) -> None:
    await posted(bench, "sealed")
    await sealer(bench).into_database()
    row = await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 2", ONE)
    three, four = account_named("account 3"), account_named("account 4")
    await bench.posting.submit(transfer("after", three, four, 1))
    names = {"txn": row[0], "one": ONE, "new": three}
    tables = ("account", "txn", "entry")
    for table in tables:
        await bench.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
    for name, (statement, message) in REWRITINGS.items():
        await bench.execute(statement.format(**names))
        with pytest.raises(SealRefused, match=message.format(**names)):
            await sealer(bench).into_database()
        for table in tables:
            await bench.execute(f"DELETE FROM {table}")  # noqa: S608
            await bench.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608
        assert (await bench.one("SELECT count(*) FROM seal"))[0] == 1, name
    assert (await sealer(bench).into_database()).made


async def test_nothing_is_signed_over_broken_or_missing_seals(bench: EventBench, tmp_path: Path) -> None:
    await sealer(bench).into_database()
    await posted(bench, "first")
    second = (await sealer(bench).into_database()).seal
    assert second is not None
    await posted(bench, "second")
    await bench.execute("UPDATE sealed_account SET version = version + 1 WHERE number = 2")
    with pytest.raises(SealBroken, match="the accounts of seal 2"):
        await sealer(bench).into_database()
    await bench.execute("DELETE FROM sealed_account WHERE number = 2")
    await bench.execute("DELETE FROM seal WHERE number = 2")
    with pytest.raises(SealRefused, match=r"the last seal is number 1 .*seals were taken away"):
        await sealer(bench).into_database(second.root)
    with pytest.raises(SealBroken, match="signed by another key"):
        await Sealer(bench.database, Ed25519PrivateKey.generate(), lambda: datetime.now(UTC)).into_database()
    await bench.execute("DELETE FROM sealed_account")
    with pytest.raises(SealBroken, match="the accounts of seal 1"):
        await sealer(bench).into_database()


async def test_of_sealers_at_once_one_writes_each_number(any_bench: EventBench) -> None:
    made: list[Made] = []
    for number in range(3):
        await posted(any_bench, f"transfer {number}")
        results = await asyncio.gather(*(sealer(any_bench).into_database() for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, SealOvertaken | Made) for result in results), results
        made += [result for result in results if isinstance(result, Made) and result.made]
    assert [one.seal.number for one in made if one.seal is not None] == [1, 2, 3]
    with SealedChain() as chain:
        async with audit.snapshot(any_bench.database) as conn:
            await stored.read(conn, chain)


async def test_a_seal_whose_number_is_taken_leaves_no_row(any_bench: EventBench) -> None:
    first = (await sealer(any_bench).into_database()).seal
    again = sign(KEY, None, Rows(), 0, datetime.now(UTC))
    with pytest.raises(SealOvertaken):
        await stored.write(any_bench.database, [], again)
    with SealedChain() as chain:
        async with audit.snapshot(any_bench.database) as conn:
            await stored.read(conn, chain)
        assert chain.last == first


async def test_a_history_rewritten_in_database_and_stream_passes_all_but_the_kept_seals(
    bench: EventBench, tmp_path: Path
) -> None:
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        await bench.post(60)
        await bench.caught_up()
    kept = tmp_path / "kept.jsonl"
    await sealer(bench).into_file(kept)
    await sealer(bench).into_database()
    seals = KeptSeals(kept, frozenset([PUBLIC]))
    assert failures(await prove(bench.database, bench.bus, kept=seals)) == {}
    victim = await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 2", ONE)
    changed = await rewrite_database(bench, victim[0], less=2)
    assert len(changed) > 20, "most of what came after has another hash"
    await rewrite_stream(bench, changed)
    await rewrite_view(bench)
    # With the seals of the database taken away, nothing that the forger could reach knows the truth.
    assert set(failures(await bench.prove())) == {"seals"}
    await bench.execute("DELETE FROM sealed_account")
    await bench.execute("DELETE FROM seal")
    assert failures(await bench.prove()) == {}
    proof = await prove(bench.database, bench.bus, kept=seals)
    assert set(failures(proof)) == {"kept_seals"}
    difference = next(check.difference for check in proof.checks if check.name == "kept_seals")
    assert difference is not None
    assert (difference["table"], difference["seal"]) == ("entry", 1)
    with pytest.raises(SealRefused, match="no longer has the head that seal 1 states"):
        await sealer(bench).into_file(kept)


async def test_seals_that_a_forger_signs_in_the_database_are_told_by_the_key_to_trust(
    bench: EventBench, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.jsonl"
    await sealer(bench).into_file(kept)
    forger = Ed25519PrivateKey.generate()
    await Sealer(bench.database, forger, lambda: datetime.now(UTC)).into_database()
    assert "seals" not in failures(await bench.prove()), "who signs everything signs consistently"
    proof = await prove(bench.database, bench.bus, kept=KeptSeals(kept, frozenset([PUBLIC])))
    assert "signed by another key" in failures(proof)["seals"]


async def test_seals_taken_away_from_the_database_show_against_a_copy(bench: EventBench, tmp_path: Path) -> None:
    await sealer(bench).into_database()
    await posted(bench, "more")
    await sealer(bench).into_database()
    lines: list[str] = []
    await export.lines(bench.database, lines.append)
    kept = tmp_path / "kept.jsonl"
    kept.write_text("\n".join(lines) + "\n")
    await bench.execute("DELETE FROM sealed_account WHERE number = 2")
    await bench.execute("DELETE FROM seal WHERE number = 2")
    proof = await prove(bench.database, bench.bus, kept=KeptSeals(kept))
    assert "seal 2 of the copy is not there in the database" in failures(proof)["kept_seals"]
