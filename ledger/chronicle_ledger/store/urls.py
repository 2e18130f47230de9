"""What a database URL must be. No message quotes it: it may hold a password, and a slip may put that anywhere in it.

psycopg is imported on first use: each command reads the names of settings, and the operator, which opens no
connection to a database, would carry 7 MiB for it.
"""

from __future__ import annotations

import re

_ESCAPE = "in a user's name or a password write % as %25, @ as %40, : as %3A, / as %2F, ? as %3F and # as %23"

# libpq has no SQLSTATE for a connection that the server refuses, only the server's words.
_FOR_GOOD = re.compile(
    r"password authentication failed|authentication failed for user|no password supplied|no pg_hba\.conf entry"
    r"|(database|role) \"[^\"]*\" does not exist|is not permitted to log in|certificate .*failed"
)


def check(url: str) -> None:
    """Raise ValueError where `url` cannot be one, with a message that says how to write it and quotes none of it."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ValueError(f"is not a URL that libpq understands; {_ESCAPE}") from None
    ports = str(parts.get("port") or "")
    if not re.fullmatch(r"[0-9,]*", ports) or "@" in f"{parts.get('host') or ''}{parts.get('dbname') or ''}":
        raise ValueError(f"does not name host, port and database where they belong; {_ESCAPE}")


def refused_for_good(error: BaseException) -> bool:
    """Whether a server refuses the connection for a reason that does not pass by itself: user, password, database."""
    import psycopg

    return isinstance(error, psycopg.OperationalError) and _FOR_GOOD.search(str(error)) is not None
