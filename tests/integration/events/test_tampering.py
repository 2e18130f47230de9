"""Somebody changes posted rows by SQL: the proof finds it and says where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chronicle_ledger.domain.account import AccountStatus, system_account_ids
from chronicle_ledger.domain.commands import CaptureHold, Command, PlaceHold, ReleaseHold, Reverse, UpdateAccount
from chronicle_ledger.domain.errors import AlreadyReversed, HoldNotPending
from support.event_bench import EventBench, failures
from support.ledger_bench import account_named, command, transfer

ACCOUNT, OTHER = account_named("account 1"), account_named("account 2")

TAMPERINGS = [
    ("UPDATE txn SET metadata = '{{\"note\":\"forged\"}}' WHERE id = '{txn}'", "chain", "{txn}"),
    ("UPDATE txn SET posted_at = posted_at - INTERVAL '1 day' WHERE id = '{txn}'", "chain", "{txn}"),
    ("UPDATE entry SET amount = amount + 1 WHERE txn_id = '{txn}' AND amount > 0", "chain", "{txn}"),
    ("DELETE FROM txn WHERE id = '{txn}'", "chain", "transaction {txn} is gone"),
    ("DELETE FROM entry WHERE txn_id = '{txn}'", "dense_versions", "account {account}: version 3 is missing"),
    ("UPDATE account SET balance = balance + 1 WHERE id = '{account}'", "running_sums", "{account}"),
    ("UPDATE account SET floor = -5 WHERE id = '{account}'", "floors", "{account}"),
    ("UPDATE account SET status = 'frozen' WHERE id = '{account}'", "state", "{account}: status is 'frozen'"),
    ("UPDATE account SET metadata = '{{\"owner\":\"x\"}}' WHERE id = '{account}'", "state", "{account}: metadata"),
    ("UPDATE account SET kind = 'system' WHERE id = '{account}'", "state", "{account}: kind is 'system'"),
    ("UPDATE account SET currency = 'USD' WHERE id = '{account}'", "state", "{account}: currency is 'USD'"),
    ("UPDATE account SET created_at = created_at - INTERVAL '1 day' WHERE id = '{account}'", "state", "{account}"),
    ("UPDATE account SET updated_at = updated_at + INTERVAL '1 day' WHERE id = '{account}'", "state", "{account}"),
    ("UPDATE account SET status = 'closed' WHERE id = '{outside}'", "state", "{outside}: status is 'closed'"),
    ("UPDATE entry SET posted_at = posted_at - INTERVAL '1 day' WHERE txn_id = '{txn}'", "chain", "{txn}"),
    ("UPDATE account SET head = '\\x00'::BYTEA WHERE id = '{account}'", "heads", "{account}"),
    ("UPDATE account SET version = version + 1 WHERE id = '{account}'", "dense_versions", "{account}"),
]


@pytest.mark.parametrize(("statement", "check", "located"), TAMPERINGS)
async def test_each_change_behind_the_ledgers_back_is_found_and_located(
    bench: EventBench, statement: str, check: str, located: str
) -> None:
    await bench.post(60)
    assert failures(await bench.prove()).keys() <= {"stream"}
    row = await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 3", ACCOUNT)
    names = {"txn": row[0], "account": ACCOUNT, "outside": system_account_ids("EUR")[0]}
    await bench.execute(statement.format(**names))
    found = failures(await bench.prove())
    assert located.format(**names) in _whole(found, check), found


def _place(name: str, **fields: Any) -> PlaceHold:
    return command(PlaceHold, f"hold {name}", account_id=ACCOUNT, amount=10, **fields)


HOLDS = {name: _place(name).id for name in ("captured", "released", "expired", "pending")}
REVERSED = transfer("reversed", ACCOUNT, OTHER, 3).id


async def _holds_and_a_reversal(bench: EventBench) -> None:
    """A hold of each state, and a transfer that was reversed."""
    commands: list[Command] = [
        _place("captured"),
        _place("released"),
        _place("expired", lasts=timedelta(microseconds=1)),
        _place("pending", destination_id=OTHER, lasts=timedelta(days=1)),
        command(CaptureHold, "capture", hold_id=HOLDS["captured"], amount=7),
        command(ReleaseHold, "release", hold_id=HOLDS["released"]),
        command(ReleaseHold, "expire", hold_id=HOLDS["expired"], expired=True),
        transfer("reversed", ACCOUNT, OTHER, 3),
        command(Reverse, "reverse", transaction_id=REVERSED),
    ]
    for one in commands:
        await bench.posting.submit(one)


INDEX_TAMPERINGS = [
    ("UPDATE hold SET state = 'pending', captured = 0 WHERE id = '{captured}'", "holds", "state is pending, its"),
    (
        "UPDATE hold SET captured = 8 WHERE id = '{captured}'",
        "holds",
        "{captured}: captured is 8, its transactions say 7",
    ),
    ("UPDATE hold SET state = 'expired' WHERE id = '{released}'", "holds", "{released}: state is expired"),
    ("UPDATE hold SET state = 'pending' WHERE id = '{expired}'", "holds", "{expired}: state is pending"),
    ("UPDATE hold SET state = 'released' WHERE id = '{pending}'", "holds", "{pending}: state is released"),
    ("UPDATE hold SET amount = 11 WHERE id = '{pending}'", "holds", "{pending}: amount is 11, its transactions say 10"),
    ("UPDATE hold SET account_id = '{other}' WHERE id = '{pending}'", "holds", "{pending}: account_id is {other}"),
    ("UPDATE hold SET destination_id = NULL WHERE id = '{pending}'", "holds", "{pending}: destination_id is None"),
    ("UPDATE hold SET expires_at = NULL WHERE id = '{pending}'", "holds", "{pending}: expires_at is None"),
    ("UPDATE hold SET expiry_shard = 99 WHERE id = '{pending}'", "holds", "{pending}: expiry_shard is 99"),
    ("DELETE FROM hold WHERE id = '{pending}'", "holds", "hold {pending}, placed by the transaction"),
    ("UPDATE hold SET id = '{other}' WHERE id = '{pending}'", "holds", "(and 1 more)"),
    ("DELETE FROM reversal", "reversals", "reverses {reversed}, which has no row"),
    ("UPDATE reversal SET txn_id = '{other}'", "reversals", "says that {other} reversed transaction {reversed}"),
    (
        "INSERT INTO reversal (reverses, txn_id) VALUES ('{other}', '{other}')",
        "reversals",
        "{other}; no transaction did",
    ),
]


@pytest.mark.parametrize(("statement", "check", "located"), INDEX_TAMPERINGS)
async def test_each_change_of_what_the_posting_engine_looks_up_is_found_and_located(
    bench: EventBench, statement: str, check: str, located: str
) -> None:
    await _holds_and_a_reversal(bench)
    await bench.reconcile()  # makes the stream, which there is no relay to make
    names = {**HOLDS, "other": OTHER, "reversed": REVERSED}
    await bench.execute(statement.format(**names))
    found = failures(await bench.prove())
    assert list(found) == [check]
    assert located.format(**names) in found[check]


async def test_holds_and_reversals_as_the_ledger_leaves_them_are_no_difference(any_bench: EventBench) -> None:
    await _holds_and_a_reversal(any_bench)
    await any_bench.reconcile()
    proof = await any_bench.prove()
    assert failures(proof) == {}
    assert [check.compared for check in proof.checks if check.name in {"holds", "reversals"}] == [4, 1]


async def test_a_second_capture_and_a_second_reversal_that_a_changed_row_let_through_are_found(
    any_bench: EventBench,
) -> None:
    await _holds_and_a_reversal(any_bench)
    await any_bench.reconcile()
    again = command(CaptureHold, "capture again", hold_id=HOLDS["captured"], amount=7)
    reverse = command(Reverse, "reverse again", transaction_id=REVERSED)
    with pytest.raises(HoldNotPending):
        await any_bench.posting.submit(again)
    with pytest.raises(AlreadyReversed):
        await any_bench.posting.submit(reverse)
    await any_bench.execute("UPDATE hold SET state = 'pending', captured = 0 WHERE id = %s", HOLDS["captured"])
    await any_bench.execute("DELETE FROM reversal")
    await any_bench.posting.submit(again)
    await any_bench.posting.submit(reverse)
    found = failures(await any_bench.prove())
    assert set(found) == {"holds", "reversals"}, "all else is as the engine posts it"
    assert f"hold {HOLDS['captured']} was ended 2 times: by " in found["holds"]
    assert f"transaction {REVERSED} was reversed 2 times: by " in found["reversals"]
    for second in (again.id, reverse.id):
        assert str(second) in found["holds"] + found["reversals"]


async def test_what_the_ledger_itself_changes_of_an_account_is_no_difference(bench: EventBench) -> None:
    updates: tuple[dict[str, Any], ...] = (
        {"status": AccountStatus.FROZEN},
        {"account_metadata": {"owner": "somebody", "limit": 3}},
        {"floor": -50, "status": AccountStatus.OPEN},
        {"floor": None, "account_metadata": {}},
    )
    await bench.post(24)
    await bench.reconcile()  # makes the stream, which there is no relay to make
    for number, fields in enumerate(updates):
        await bench.posting.submit(command(UpdateAccount, f"update {number}", account_id=ACCOUNT, **fields))
        assert failures(await bench.prove()) == {}
    await bench.post(24)
    assert failures(await bench.prove()) == {}
    # And a lost change is one: as if the last of them had never reached the row.
    await bench.execute('UPDATE account SET metadata = \'{"limit":3,"owner":"somebody"}\' WHERE id = %s', ACCOUNT)
    assert f"{ACCOUNT}: metadata" in failures(await bench.prove())["state"]


def _whole(found: dict[str, str], check: str) -> str:
    assert check in found, found
    return found[check]


async def test_a_transaction_removed_from_the_end_with_all_its_traces_is_known_to_the_stream(bench: EventBench) -> None:
    async with bench.running(bench.relay()):
        await bench.post(12)

        async with bench.running(bench.projector()):
            await bench.caught_up()
    row = await bench.one("SELECT id FROM txn WHERE kind = 'transfer' ORDER BY posted_at DESC, id LIMIT 1")
    await bench.execute("DELETE FROM entry WHERE txn_id = %s", row[0])
    await bench.execute("DELETE FROM txn WHERE id = %s", row[0])
    assert f"speaks of transaction {row[0]}, which the ledger does not have" in failures(await bench.prove())["stream"]
