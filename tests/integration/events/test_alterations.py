"""Every alteration that somebody with SQL can make is located by the proof, with table and key, and stops no check."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from chronicle_ledger.proof import Proof
from chronicle_ledger.proof.prove import acknowledged_up_to, prove_on
from chronicle_ledger.store import audit, roles
from chronicle_ledger.store.pool import Connection
from support.alterations import ALTERATIONS, Alteration, seed
from support.event_bench import EventBench, failures, until

WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (\w+)")
IMPOSSIBLE: dict[str, frozenset[str]] = {"cockroachdb": frozenset(), "postgresql": frozenset()}
"""Alterations that the database itself refuses."""


async def test_each_alteration_is_located_with_table_and_key(any_bench: EventBench) -> None:
    names = await seed(any_bench)
    await until(any_bench.acknowledged, "all messages are acknowledged")
    acknowledged = await acknowledged_up_to(any_bench.bus)
    missed: list[str] = []
    async with any_bench.database.raw_connection(10.0) as conn:
        refused = IMPOSSIBLE["postgresql" if conn.info.parameter_status("crdb_version") is None else "cockroachdb"]
        assert failures(await _proof(any_bench, conn, acknowledged)) == {}
        for alteration in ALTERATIONS:
            await conn.execute("BEGIN")
            try:
                for statement in alteration.statements:
                    await conn.execute(statement.format(**names).encode(), prepare=False)
                proof = await _proof(any_bench, conn, acknowledged)
            except psycopg.Error as error:
                if alteration.name not in refused:
                    missed.append(f"{alteration.name}: {type(error).__name__} {error}")
            except Exception as error:  # noqa: BLE001 - what an alteration does to the proof is what is asked here
                missed.append(f"{alteration.name}: the proof broke off with {type(error).__name__}: {error}")
            else:
                missed += _unlocated(alteration, names, proof)
            finally:
                await conn.execute("ROLLBACK")
        assert not missed, "\n".join(missed)
        assert failures(await _proof(any_bench, conn, acknowledged)) == {}, "every alteration was taken back"


def _unlocated(alteration: Alteration, names: dict[str, object], proof: Proof) -> list[str]:
    table = alteration.located_in or alteration.table
    key = alteration.key.format(**names)
    check = next(check for check in proof.checks if check.name == alteration.check)
    for difference in check.located:
        if difference.get("table") == table and (not key or key in map(str, difference.values())):
            return []
    found = {check.name: (check.message, check.located) for check in proof.checks if not check.ok}
    return [f"{alteration.name}: not located by {alteration.check} in {table} at {key}: {found}"]


async def _proof(bench: EventBench, conn: Connection, acknowledged: tuple[int, str | None]) -> Proof:
    async def known(ids: list[UUID]) -> set[UUID]:
        return await audit.known(conn, ids)

    return await prove_on(conn, bench.bus, acknowledged, known)


async def test_as_the_apis_own_user_history_cannot_be_altered_at_all(any_bench: EventBench) -> None:
    """The database refuses what its rights do not allow; the proof locates what they do, as the test above shows."""
    names = await seed(any_bench)
    user = f"api_{uuid4().hex[:8]}"
    async with any_bench.database.raw_connection(10.0) as owner:
        await owner.execute(f"CREATE USER {user}".encode())
        await roles.grant(owner, {user: ["api"]})
    allowed = roles.rights(["api"])
    async with await psycopg.AsyncConnection.connect(make_conninfo(any_bench.url, user=user), autocommit=True) as api:
        for alteration in ALTERATIONS:
            await api.execute("BEGIN")
            refused = False
            try:
                for statement in alteration.statements:
                    await api.execute(statement.format(**names).encode(), prepare=False)
            except psycopg.errors.InsufficientPrivilege:
                refused = True
            await api.execute("ROLLBACK")
            wanted = {right for statement in alteration.statements for right in WRITES.findall(statement)}
            assert wanted, alteration.name
            beyond = [(verb, table) for verb, table in wanted if verb.split()[0] not in allowed.get(table, ())]
            assert refused == bool(beyond), f"{alteration.name}: {beyond or 'the API may do that'}"
            changed = {table for verb, table in wanted if verb != "INSERT INTO"}
            assert refused or not changed & {"txn", "entry", "reversal"}, alteration.name


def test_the_alterations_are_many_and_reach_every_table_and_column() -> None:
    assert len(ALTERATIONS) >= 60
    assert not [name for name, count in Counter(one.name for one in ALTERATIONS).items() if count > 1]


async def test_no_column_is_left_out(bench: EventBench) -> None:
    async with bench.database.connection() as conn:
        cursor = await conn.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
        columns: list[tuple[Any, Any]] = await cursor.fetchall()
    touched = {
        (one.table, column)
        for one in ALTERATIONS
        for table, column in columns
        if table == one.table
        and any(f" {column} = " in statement or f"SET {column}" in statement for statement in one.statements)
    }
    left_out = {f"{table}.{column}" for table, column in columns if (table, column) not in touched}
    # A lease's and a worker's names say who works; a time says until when. Other generations are read by nobody. What
    # stands in `restoring` stops the service, which says so.
    assert left_out == {
        "account_view.generation", "daily_view.generation", "lease.holder", "restoring.backup", "restoring.id",
        "restoring.since", "schema_lease.holder", "schema_lease.id",
        "schema_lease.until", "statement_view.generation", "worker.expires_at", "worker.id", "worker.role",
    }  # fmt: skip
