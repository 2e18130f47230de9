"""A ledger under test is what was asked for, whatever the terminal it was started from has set."""

from __future__ import annotations

from chronicle_chaos.local.environment import inherited, settings


def test_settings_of_another_ledger_and_of_libpq_are_not_passed_on() -> None:
    terminal = {
        "PATH": "/bin", "HOME": "/home/me", "CHRONICLE_SABOTAGE": "idempotency", "CHRONICLE_KEYS_FILE": "keys",
        "PGHOST": "elsewhere", "PGOPTIONS": "-c statement_timeout=1",
    }  # fmt: skip
    assert inherited(terminal) == {"PATH": "/bin", "HOME": "/home/me"}


def test_how_it_logs_may_still_be_set() -> None:
    assert inherited({"CHRONICLE_LOG_LEVEL": "debug"}) == {"CHRONICLE_LOG_LEVEL": "debug"}


def test_a_setting_without_a_value_is_not_set_at_all() -> None:
    assert settings(REGION="region-a", KEYS_FILE=None, SABOTAGE="") == {"CHRONICLE_REGION": "region-a"}
