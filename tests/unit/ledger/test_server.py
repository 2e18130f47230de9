"""What a version of the database knows, by the answers of servers that are played here."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from chronicle_ledger.store import server


class Info:
    def __init__(self, crdb: str | None) -> None:
        self.crdb = crdb

    def parameter_status(self, name: str) -> str | None:
        return self.crdb if name == "crdb_version" else None


class Played:
    """A connection to a server that answers each statement by `refusal`, or says yes."""

    def __init__(self, crdb: str | None, refusal: psycopg.Error | None = None) -> None:
        self.info = Info(crdb)
        self.refusal = refusal
        self.executed: list[str] = []

    async def execute(self, statement: bytes) -> None:
        self.executed.append(statement.decode())
        if self.refusal is not None:
            raise self.refusal


def played(crdb: str | None, refusal: psycopg.Error | None = None) -> Any:
    return Played(crdb, refusal)


async def test_a_variable_that_the_version_knows_is_set() -> None:
    current = played("CockroachDB CCL v25.1.0")
    assert await server.set_where_known(current, "autocommit_before_ddl", "off")
    assert current.executed == ["SET autocommit_before_ddl = off"]


async def test_a_variable_that_an_older_version_does_not_know_is_left_alone() -> None:
    old = played("CockroachDB CCL v20.1.17", psycopg.errors.UndefinedObject("unrecognized configuration parameter"))
    assert not await server.set_where_known(old, "autocommit_before_ddl", "off")


async def test_postgresql_is_not_asked_for_variables_of_cockroachdb() -> None:
    postgres = played(None)
    assert not await server.set_where_known(postgres, "autocommit_before_ddl", "off")
    assert postgres.executed == []


async def test_a_database_that_breaks_meanwhile_is_not_taken_for_an_old_one() -> None:
    with pytest.raises(psycopg.OperationalError):
        await server.set_where_known(played("v25.1", psycopg.OperationalError("gone")), "autocommit_before_ddl", "off")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("CockroachDB CCL v20.1.17 (x86_64-unknown-linux-gnu, built 2021/05/17)", (20, 1)),
        ("CockroachDB CCL v26.1.0-rc.1 (x86_64-pc-linux-gnu)", (26, 1)),
        (None, (0, 0)),
    ],
)
def test_the_version_is_read_from_what_the_server_says_at_the_start(said: str | None, version: tuple[int, int]) -> None:
    assert server.version(played(said)) == version
