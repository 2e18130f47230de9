"""Make the users of the database, one for each process (`chronicle_contract.database_users`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier, Literal

from chronicle_contract.database_users import STATUS, USERS
from chronicle_ledger.store import server

VIEWS_OF_NODES: Final = (23, 2)
"""From here on CockroachDB has a right for the state of its nodes; before, members of admin alone may read it."""


async def make(connection: AsyncConnection[Any], passwords: Mapping[str, str]) -> None:
    """Make the users that are missing, and set the passwords that are given. As the database's administrator; safe to
    repeat. PostgreSQL alone takes passwords: a CockroachDB without certificates asks for none."""
    cursor = await connection.execute("SELECT rolname FROM pg_catalog.pg_roles")
    there = {row[0] for row in await cursor.fetchall()}
    for user in USERS:
        if user not in there:
            await connection.execute(SQL("CREATE USER {}").format(Identifier(user)))
    if server.kind(connection) == "cockroachdb":
        await _let_see_nodes(connection)
        return
    for user, password in passwords.items():
        # Hashed here: the server, and its log, never hear it.
        hashed = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
        await connection.execute(SQL("ALTER USER {} PASSWORD {}").format(Identifier(user), Literal(hashed)))


async def _let_see_nodes(connection: AsyncConnection[Any]) -> None:
    """Let the status user read the state of the nodes, by the least right that there is for it."""
    # What counts is the version that the cluster has agreed on, which lags behind the program's until an upgrade ends.
    cursor = await connection.execute("SHOW CLUSTER SETTING version")
    row = await cursor.fetchone()
    version = re.match(r"(\d+)\.(\d+)", str(row[0]) if row else "")
    if version is None:
        raise RuntimeError(f"CockroachDB tells no version of the cluster: {row}")
    status = Identifier(STATUS)
    if (int(version[1]), int(version[2])) >= VIEWS_OF_NODES:
        await connection.execute(SQL("GRANT SYSTEM VIEWCLUSTERMETADATA TO {}").format(status))
        await connection.execute(SQL("REVOKE admin FROM {}").format(status))
    else:
        await connection.execute(SQL("GRANT admin TO {}").format(status))
