"""The rights of the roles are those that the statements of the store need, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chronicle_chaos.local import users as local_users
from chronicle_contract import database_users as users
from chronicle_ledger import store
from chronicle_ledger.store import roles
from chronicle_ledger.store.migrate import migrations
from support.reached import definitions

OWNERS = {"migrate", "refill", "roles", "sabotaged", "server", "users"}
"""Modules whose statements the tables' owner executes, or nobody but a test."""

VIEWS = ("account_view", "statement_view", "daily_view")
PATTERNS = {
    "INSERT": re.compile(r"\bINSERT INTO (\w+|\{table\})"),
    "UPDATE": re.compile(r"\bUPDATE (\w+|\{table\})\s+SET\b"),
    "DELETE": re.compile(r"\bDELETE FROM (\w+|\{table\})"),
    "SELECT": re.compile(r"(?<!DELETE )\b(?:FROM|JOIN) (\w+|\{table\})"),
}


def tables() -> set[str]:
    """Every table that the migrations make."""
    made = {name for it in migrations() for name in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", it.sql)}
    return made | {"schema_migration", "schema_lease"}


def _note(source: str, found: dict[str, set[str]]) -> None:
    """Note what the statements in `source` need."""
    # Strings that stand side by side are one statement.
    text = re.sub(r"\"\s*(#[^\n]*)?\n\s*[bf]*\"", "", source)
    for right, pattern in PATTERNS.items():
        for name in pattern.findall(text):
            for table in VIEWS if name == "{table}" else (name,):
                if table in tables():
                    found.setdefault(table, set()).add(right)
    # A row that exists already is changed instead, and one that is changed or locked is looked for first.
    for statement in re.findall(r"INSERT INTO (\w+)(?:(?!INSERT INTO|\n\n).)*?DO UPDATE", text, re.DOTALL):
        found[statement].add("UPDATE")
    for table in re.findall(r"FROM (\w+) WHERE (?:(?!FROM ).)*?FOR UPDATE", text):
        found[table].add("UPDATE")


def needed() -> dict[str, set[str]]:
    """Table → rights, as the text of the store's statements has it."""
    found: dict[str, set[str]] = {}
    for path in Path(str(store.__file__)).parent.glob("*.py"):
        if path.stem in OWNERS:
            continue
        _note(path.read_text(), found)
    found["account"].add("UPDATE")  # locked by a statement that is put together
    found["schema_migration"] = {"SELECT"}  # by the probe whether the schema is current
    for words in found.values():
        words.add("SELECT")
    return found


def test_all_roles_together_have_what_the_statements_need_and_no_more() -> None:
    assert roles.rights(roles.ROLES) == needed()


PROCESSES = {
    "api": [("chronicle_ledger.api.role", "build"), ("chronicle_ledger.proof.__main__", "main")],
    "relay": [("chronicle_ledger.events.relay", "build")],
    "projector": [("chronicle_ledger.events.projector", "build")],
    "proof": [("chronicle_ledger.proof.__main__", "main")],
    "seal": [*definitions().of("chronicle_ledger.seals.sealer"), *definitions().of("chronicle_ledger.seals.stored")],
}
"""Role → where its process begins. The API makes a proof itself where no other user is named for it."""


def needed_by(role: str) -> dict[str, set[str]]:
    """Table → rights, by the statements that the role's process can reach."""
    found: dict[str, set[str]] = {}
    for module, name in definitions().reached(PROCESSES[role]):
        folder, _, short = module.rpartition(".")
        if folder == "chronicle_ledger.store" and short not in OWNERS - {"migrate"}:
            _note(definitions().text[module, name], found)
    for words in found.values():
        words.add("SELECT")
    return found


@pytest.mark.parametrize("role", sorted(PROCESSES))
def test_each_process_has_what_its_own_statements_need_and_no_more(role: str) -> None:
    assert roles.rights([role]) == needed_by(role)


def test_each_process_has_a_user_with_its_role_alone_and_no_user_may_take_away_what_was_posted() -> None:
    of_processes = {role: f"chronicle_{role}" for role in PROCESSES}
    assert {users.USERS[user] for user in of_processes.values()} == {(role,) for role in of_processes}
    assert set(users.USERS) == {*of_processes.values(), "chronicle_backup", "chronicle_people", "chronicle_status"}
    assert users.USERS[users.STATUS] == ()
    assert users.USERS[users.BACKUP] == ("backup",)
    for granted in users.USERS.values():
        assert "restore" not in granted


def test_the_processes_of_the_local_mode_have_these_users() -> None:
    assert [local_users.of_process(f"{role}-2") for role in ("api", "relay", "projector")] == [
        users.API, users.RELAY, users.PROJECTOR,
    ]  # fmt: skip
    assert local_users.of_process("migrate") is local_users.of_process("psql") is None


@pytest.mark.parametrize("role", sorted(set(roles.ROLES) - {"restore"}))
def test_what_was_posted_can_be_changed_by_no_process(role: str) -> None:
    for table in ("txn", "entry", "reversal"):
        assert not roles.rights([role]).get(table, set()) & {"UPDATE", "DELETE"}


@pytest.mark.parametrize("role", ["relay", "projector", "proof", "rebuild", "reconcile", "seal", "backup"])
def test_nobody_but_the_api_posts(role: str) -> None:
    assert not any("INSERT" in roles.rights([role]).get(table, set()) for table in ("account", "txn", "entry"))


def test_the_words_are_rights() -> None:
    for role in roles.ROLES:
        assert all(words <= set(roles.RIGHTS) for words in roles.rights([role]).values())


def test_a_backup_changes_nothing() -> None:
    assert {word for words in roles.rights(["backup"]).values() for word in words} == {"SELECT"}
