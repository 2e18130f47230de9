"""Which role of the service needs which rights on which table. The one list: `chronicle migrate --grant` follows it.

What was posted is never changed: no process may UPDATE or DELETE in `txn`, `entry` and `reversal`, so a stolen one
cannot rewrite history through SQL. `restore`, which a person runs to put rows back as they were posted, alone may. A
lock (`SELECT … FOR UPDATE`) needs UPDATE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")

_LEDGER: Final = {
    "account": "SELECT INSERT UPDATE",
    "txn": "SELECT INSERT",
    "entry": "SELECT INSERT",
    "reversal": "SELECT INSERT",
    "hold": "SELECT INSERT UPDATE",
    "outbox": "SELECT INSERT",
}
_READ_MODEL: Final = ("view_current", "account_view", "statement_view", "daily_view", "projection")
_SEALS: Final = ("seal", "sealed_account")
_READ_LEDGER: Final = dict.fromkeys(_LEDGER, "SELECT")
_SCHEMA: Final = ("schema_migration", "schema_lease", "lease", "worker", "restoring")
_READ_ALL: Final = {**_READ_LEDGER, **dict.fromkeys((*_READ_MODEL, *_SEALS, *_SCHEMA), "SELECT")}
_WRITE_VIEWS: Final = {
    "view_current": "SELECT UPDATE",
    "account_view": "SELECT INSERT UPDATE DELETE",
    "statement_view": "SELECT INSERT UPDATE DELETE",
    "daily_view": "SELECT INSERT UPDATE DELETE",
    "projection": "SELECT INSERT UPDATE",
}
_PROJECT: Final = {
    **_WRITE_VIEWS,
    **dict.fromkeys(("account_view", "statement_view", "daily_view"), "SELECT INSERT UPDATE"),
}
_SHARES: Final = {"lease": "SELECT INSERT UPDATE", "worker": "SELECT INSERT UPDATE DELETE"}

ROLES: Final[Mapping[str, Mapping[str, str]]] = {
    "api": {**_READ_ALL, **_LEDGER},
    "relay": {"outbox": "SELECT DELETE", **_SHARES},
    "projector": {**dict.fromkeys(("account", "txn", "entry"), "SELECT"), **_PROJECT, **_SHARES},
    "proof": {table: words for table, words in _READ_ALL.items() if table != "restoring"},
    "rebuild": {**_READ_ALL, **_WRITE_VIEWS, **_SHARES},
    "reconcile": {**_READ_ALL, **_WRITE_VIEWS, **_SHARES, "outbox": "SELECT INSERT DELETE"},
    "restore": {
        **_READ_ALL,
        **_LEDGER,
        "account": "SELECT INSERT UPDATE DELETE",
        "txn": "SELECT INSERT DELETE",
        "entry": "SELECT INSERT DELETE",
        "reversal": "SELECT INSERT UPDATE",
    },
    "backup": {**_READ_LEDGER, **dict.fromkeys((*_SEALS, "schema_migration", "restoring"), "SELECT")},
    "seal": {**dict.fromkeys(("account", "txn", "entry"), "SELECT"), **dict.fromkeys(_SEALS, "SELECT INSERT")},
}


def rights(roles: Iterable[str]) -> dict[str, set[str]]:
    """Table → rights of a user that has all of `roles`. Raises KeyError for a role that there is not."""
    together: dict[str, set[str]] = {}
    for role in roles:
        for table, words in ROLES[role].items():
            together.setdefault(table, set()).update(words.split())
    return together


async def grant(connection: AsyncConnection[Any], users: Mapping[str, Iterable[str]]) -> None:
    """Give each of `users` the rights of its roles on every table, and take from it all others. As the tables' owner,
    in one transaction; safe to repeat."""
    cursor = await connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    tables = sorted(row[0] for row in await cursor.fetchall())
    async with connection.transaction():
        for user, roles in sorted(users.items()):
            wanted = rights(roles)
            for table in tables:
                has = wanted.get(table, set())
                for words, verb, word in (
                    ([it for it in RIGHTS if it not in has], "REVOKE", "FROM"),
                    ([it for it in RIGHTS if it in has], "GRANT", "TO"),
                ):
                    if words:
                        await connection.execute(
                            SQL("{} {} ON TABLE {} {} {}").format(
                                SQL(verb), SQL(", ").join(map(SQL, words)), Identifier(table), SQL(word),
                                Identifier(user),
                            )
                        )  # fmt: skip
