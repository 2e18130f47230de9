"""What the server at the other end of a connection is, and what its version can do."""

from __future__ import annotations

import re
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection


def kind(connection: AsyncConnection[Any]) -> Literal["cockroachdb", "postgresql"]:
    """Which of the two databases answers."""
    return "postgresql" if connection.info.parameter_status("crdb_version") is None else "cockroachdb"


def version(connection: AsyncConnection[Any]) -> tuple[int, int]:
    """CockroachDB's major and minor version, as in `CockroachDB CCL v26.1.0 (x86_64…)`; (0, 0) where there is none."""
    text = re.search(r"v(\d+)\.(\d+)", connection.info.parameter_status("crdb_version") or "")
    return (int(text[1]), int(text[2])) if text else (0, 0)


async def set_where_known(connection: AsyncConnection[Any], name: str, value: str) -> bool:
    """Set a variable of CockroachDB where its version knows it; whether it does. Needs autocommit."""
    if kind(connection) == "postgresql":
        return False
    try:
        await connection.execute(f"SET {name} = {value}".encode())
    except (psycopg.errors.UndefinedObject, psycopg.errors.FeatureNotSupported):
        return False
    return True
