"""Somebody changes posted rows by SQL: the proof finds it and says where."""

from __future__ import annotations

from typing import Any

import pytest

from chronicle_ledger.domain.account import AccountStatus, system_account_ids
from chronicle_ledger.domain.commands import UpdateAccount
from support.event_bench import EventBench, failures
from support.ledger_bench import account_named, command

ACCOUNT = account_named("account 1")

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
