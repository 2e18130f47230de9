"""A password is in no message and no log line, however its URL is written and whatever a driver says of it."""

from __future__ import annotations

import logging
import sys

import psycopg
import pytest

from chronicle_ledger import concealed, logs
from chronicle_ledger.settings import SettingsError, load
from chronicle_ledger.store import urls
from chronicle_ledger.store.migrate import MigrationError, migrate

SLIPS = [
    "postgresql://ledger:s3cret%zz@127.0.0.1/books",  # a stray percent sign
    "postgresql://ledger:s3cret/zz@127.0.0.1/books",  # libpq takes `s3cret` for the port
    "postgresql://ledger:1234/s3cret@127.0.0.1/books",  # the password's rest for the database
    "postgresql://ledger:s3@s3cret@127.0.0.1/books",  # and here for the host
]


@pytest.mark.parametrize("url", SLIPS)
def test_a_url_with_a_slip_is_refused_by_the_name_of_its_setting_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(database_url=url)
    assert "CHRONICLE_DATABASE_URL" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "%40" in str(refused.value), "it says how to write it"


@pytest.mark.parametrize("url", SLIPS)
async def test_a_migration_does_not_try_such_a_url_at_all(url: str) -> None:
    with pytest.raises(MigrationError, match="CHRONICLE_DATABASE_URL") as refused:
        await migrate(url, deadline=0)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ledger:s3cret%40%25@one:5432,two:5433/books?target_session_attrs=read-write",
        "postgresql://postgres@/books?host=/run/postgresql",
        "postgresql://[::1]:5432/books",
    ],
)
def test_a_url_that_is_one_is_taken(url: str) -> None:
    urls.check(url)


@pytest.mark.parametrize(
    ("words", "for_good"),
    [
        ('FATAL:  password authentication failed for user "ledger"', True),
        ('FATAL:  database "books" does not exist', True),
        ('FATAL:  role "ledger" does not exist', True),
        ("fe_sendauth: no password supplied", True),
        ("Connection refused", False),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  sorry, too many clients already", False),
    ],
)
def test_what_does_not_pass_by_itself_is_told_from_what_does(words: str, for_good: bool) -> None:
    assert urls.refused_for_good(psycopg.OperationalError(f"connection failed: {words}")) is for_good


def test_a_password_that_a_driver_quotes_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(concealed, "_passwords", set())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    concealed.conceal("postgresql://ledger:s3cret%25zz@127.0.0.1/books", "postgresql://a:x?y[zz@b/c")
    concealed.conceal("nats://app:hidden@127.0.0.1:4222", "nats://a")
    try:
        logs.configure()
        logging.getLogger("driver").error("cannot use %s, nor %s, nor %s", "s3cret%25zz", "s3cret%zz", "x?y[zz")
        logs.get("ours").error("failed", error="nats://app:hidden@127.0.0.1")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    sys.stderr.flush()
    said = capsys.readouterr().err
    assert "cannot use ***, nor ***, nor ***" in said
    assert "nats://app:***@127.0.0.1" in said
    assert "s3cret" not in said
