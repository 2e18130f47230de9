"""Each list that the API offers reads as much as it answers, whatever the filter: by the databases' own plans."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import psycopg.sql
import pytest

from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.store import reads, view_reads
from chronicle_ledger.store.migrate import migrate
from chronicle_ledger.store.pool import Database, open_pool
from chronicle_ledger.store.reads import Page, PostedEntry, Standing, Unreadable

ROWS = 4000
FIRST = UUID(int=0)
HOT = UUID(int=7)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LATE = BEGAN + timedelta(seconds=ROWS - 10)
EARLY = BEGAN + timedelta(seconds=10)

FILL = f"""
INSERT INTO account (id, currency, kind, version, status, head, metadata, created_at, updated_at)
SELECT lpad(n::TEXT, 32, '0')::UUID, 'EUR', 'customer', 1, 'open', '\\x00'::BYTEA, '{{}}', now(), now()
FROM generate_series(0, {ROWS - 1}) AS n;
INSERT INTO entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)
SELECT '{HOT}'::UUID, n, '{HOT}'::UUID, 'EUR', 1, 0, n, 0, '{BEGAN.isoformat()}'::TIMESTAMPTZ + n * INTERVAL '1 second'
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO account_view (generation, account_id, currency, kind, balance, held, version, posted_at)
SELECT 1, lpad(n::TEXT, 32, '0')::UUID, 'EUR', 'customer', 0, 0, 1, now() FROM generate_series(0, {ROWS - 1}) AS n;
INSERT INTO statement_view (generation, account_id, version, txn_id, kind, amount, held, balance_after, held_after,
                            effective_at, posted_at)
SELECT 1, '{HOT}'::UUID, n, '{HOT}'::UUID, 'transfer', 1, 0, n, 0, now(),
       '{BEGAN.isoformat()}'::TIMESTAMPTZ + n * INTERVAL '1 second' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO outbox (shard, id, payload, created_at)
SELECT n % 16, lpad(n::TEXT, 32, '0')::UUID, 'x', now() FROM generate_series(1, {ROWS}) AS n
"""  # noqa: S608 - constants from above

Read = Callable[[Database], Awaitable[Any]]

READS: dict[str, Read] = {
    "accounts": lambda d: reads.list_accounts(d, limit=10),
    "accounts, a later page": lambda d: reads.list_accounts(d, limit=10, cursor=HOT),
    "accounts of a currency": lambda d: reads.list_accounts(d, limit=10, currency="EUR"),
    "accounts of a currency that has none": lambda d: reads.list_accounts(d, limit=10, currency="QQQ"),
    "accounts of a status": lambda d: reads.list_accounts(d, limit=10, status=AccountStatus.FROZEN),
    "accounts of a kind": lambda d: reads.list_accounts(d, limit=10, kind=AccountKind.SYSTEM),
    "accounts of a currency and a status": lambda d: reads.list_accounts(
        d, limit=10, currency="EUR", status=AccountStatus.CLOSED
    ),
    "accounts of all three, a later page": lambda d: reads.list_accounts(
        d, limit=10, cursor=HOT, currency="EUR", status=AccountStatus.OPEN, kind=AccountKind.CUSTOMER
    ),
    "entries from late on": lambda d: reads.list_entries(d, HOT, limit=20, since=LATE),
    "entries up to early": lambda d: reads.list_entries(d, HOT, limit=20, until=EARLY),
    "entries of no time": lambda d: reads.list_entries(d, HOT, limit=20, since=EARLY, until=EARLY),
    "the balance of long ago": lambda d: reads.balance_at(d, HOT, EARLY),
    "balances": lambda d: view_reads.balances(d, limit=10),
    "balances of a currency": lambda d: view_reads.balances(d, limit=10, currency="EUR", cursor=HOT),
    "balances of a currency that has none": lambda d: view_reads.balances(d, limit=10, currency="QQQ"),
    "one balance": lambda d: view_reads.balance(d, HOT),
    "a statement from late on": lambda d: view_reads.statement(d, HOT, limit=20, since=LATE),
    "a statement up to early": lambda d: view_reads.statement(d, HOT, limit=20, until=EARLY),
    "days": lambda d: view_reads.days(d, HOT, limit=10),
}
LARGE = "ALTER TABLE {} INJECT STATISTICS {}"
KEYS = {"account": "id", "entry": "account_id", "hold": "account_id", "account_view": "account_id",
        "statement_view": "account_id", "outbox": "id"}  # fmt: skip
"""A column of each table that is large in a large ledger, with many values."""
MOST = 1000
"""Rows that a read may touch. Some have to look at all kinds and statuses, those of moments at some versions."""


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[Database]:
    """A ledger of many accounts, one of them hot."""
    await migrate(postgres_url)
    database = await open_pool(postgres_url, size=2)
    async with database.connection() as connection:
        for statement in FILL.split(";\n"):
            await connection.execute(statement.encode())
    yield database
    await database.close()


async def statements_of(database: Database, read: Read, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Every statement that `read` executes, with its parameters."""
    executed: list[tuple[str, Any]] = []
    execute = psycopg.AsyncConnection.execute

    async def noted(self: Any, query: Any, parameters: Any = None, **options: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if text.lstrip().startswith("SELECT"):
            executed.append((text, parameters))
        return await execute(self, query, parameters, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncConnection, "execute", noted)
        with contextlib.suppress(LedgerError):  # where there are no rows, there is no account either
            await read(database)
    return executed


def touched(plan: dict[str, Any]) -> int:
    """How many rows the scans of a plan looked at."""
    own = 0
    if "Scan" in plan["Node Type"] and plan["Node Type"] != "Subquery Scan":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return int(own) + sum(touched(child) for child in plan.get("Plans", []))


def check(connection: psycopg.Connection[Any], query: str, parameters: Any) -> None:
    """Assert that the plan of a statement reads a stretch of an index, and no more than it needs."""
    if connection.info.parameter_status("crdb_version") is None:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), parameters).fetchone()
        assert row is not None
        assert touched(row[0][0]["Plan"]) <= MOST, row[0]
    else:
        lines = connection.execute(f"EXPLAIN {query}".encode(), parameters).fetchall()
        plan = "\n".join(" ".join(str(column) for column in line) for line in lines)
        assert "FULL SCAN" not in plan, plan


def pretend_large(connection: psycopg.Connection[Any]) -> None:
    """Let CockroachDB plan for a large ledger: of an empty table the whole is the cheapest stretch."""
    for table, column in KEYS.items():
        statistics = [{"columns": [column], "created_at": "2099-01-01 00:00:00", "row_count": 10**6,
                       "distinct_count": 10**5, "null_count": 0}]  # fmt: skip
        statement = psycopg.sql.SQL(LARGE).format(
            psycopg.sql.Identifier(table), psycopg.sql.Literal(json.dumps(statistics))
        )
        connection.execute(statement)


async def test_every_list_reads_a_stretch_of_an_index(
    ledger_urls: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_pool(ledger_urls[0], size=2)
    with psycopg.connect(ledger_urls[0], autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        if connection.info.parameter_status("crdb_version") is not None:
            pretend_large(connection)
        else:
            connection.execute(FILL.encode())
            for table in ("account", "entry", "account_view", "statement_view"):
                connection.execute(f"ANALYZE {table}".encode())
        for name, read in READS.items():
            executed = await statements_of(database, read, monkeypatch)
            assert executed, name
            for query, parameters in executed:
                check(connection, query, parameters)
    await database.close()


def ids(page: Page[Standing | Unreadable]) -> list[UUID]:
    """The accounts of a page, all of which can be read."""
    return [item.account.id for item in page.items if isinstance(item, Standing)]


def versions_of(page: Page[PostedEntry | Unreadable]) -> list[int]:
    """The versions of a page of entries, all of which can be read."""
    return [item.entry.version for item in page.items if isinstance(item, PostedEntry)]


async def test_an_id_of_all_zeros_is_on_every_first_page(filled: Database) -> None:
    everyone = await reads.list_accounts(filled, limit=ROWS)
    assert (len(ids(everyone)), ids(everyone)[0]) == (ROWS, FIRST)
    of_a_kind = await reads.list_accounts(filled, limit=ROWS, kind=AccountKind.CUSTOMER)
    assert (len(ids(of_a_kind)), ids(of_a_kind)[0]) == (ROWS, FIRST)
    assert (await view_reads.balances(filled, limit=1)).items[0].account_id == FIRST
    assert (await view_reads.balances(filled, limit=1, currency="EUR")).items[0].account_id == FIRST
    after = await reads.list_accounts(filled, limit=1, currency="EUR", cursor=FIRST)
    assert ids(after) == [UUID(int=1)]


async def test_windows_of_time_are_found_to_the_entry(filled: Database) -> None:
    database = filled

    def second(number: int) -> datetime:
        return BEGAN + timedelta(seconds=number)

    for since, until, versions in (
        (None, None, range(1, 21)),
        (second(0), second(3), range(1, 3)),
        (second(ROWS - 1), None, range(ROWS - 1, ROWS + 1)),
        (second(ROWS + 1), None, range(0)),
        (second(1234), second(1240), range(1234, 1240)),
        (None, second(1), range(0)),
    ):
        entries = await reads.list_entries(database, HOT, limit=20, since=since, until=until)
        assert versions_of(entries) == list(versions)
        lines = await view_reads.statement(database, HOT, limit=20, since=since, until=until)
        assert [line.version for line in lines.items] == list(versions)
    for at, version in ((second(1234), 1234), (second(1234) + timedelta(microseconds=-1), 1233), (second(0), None)):
        found = await reads.balance_at(database, HOT, at)
        assert (None if found is None else found.entry.version) == version

    # A damaged ledger: what is missing misleads nobody, since times are compared too.
    async with database.connection() as connection:
        await connection.execute("DELETE FROM entry WHERE version BETWEEN 1000 AND 3900")
    entries = await reads.list_entries(database, HOT, limit=20, since=second(500), until=second(3950))
    assert versions_of(entries) == list(range(500, 520))
    rest = await reads.list_entries(database, HOT, limit=60, since=second(990), until=second(3950))
    assert versions_of(rest) == [*range(990, 1000), *range(3901, 3950)]
