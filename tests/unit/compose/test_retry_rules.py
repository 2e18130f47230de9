"""HAProxy repeats what the table of retry rules says, and the local balancer's time-outs are HAProxy's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chronicle_chaos.local.retry_rules import (
    ATTEMPT_SECONDS,
    BATCH_PATH,
    FEED_SECONDS,
    KEY_HEADER,
    OVERLOAD,
    PROOF_SECONDS,
    RULES,
    SAFE_METHODS,
    Outcome,
    Repeat,
    is_safe,
)
from chronicle_ledger.api.events import KEEP_ALIVE_SECONDS
from chronicle_ledger.settings import Settings
from chronicle_ledger.web.operation import GRACE
from chronicle_ledger.web.problems import CATALOGUE

CONFIG = (Path(__file__).parents[3] / "deploy" / "compose" / "haproxy.cfg").read_text()


def section(name: str) -> list[str]:
    """The directives of a section, without comments."""
    found: list[str] = []
    inside = False
    for line in CONFIG.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            inside = line.startswith(name)
        elif inside and line.strip() and not line.strip().startswith("#"):
            found.append(line.strip())
    return found


API = section("backend api ")


def only(prefix: str, lines: list[str] = API) -> str:
    (line,) = [line.removeprefix(prefix).strip() for line in lines if line.startswith(prefix)]
    return line


def test_haproxy_repeats_what_the_table_gives_a_name_and_nothing_else() -> None:
    named = {rule.haproxy for rule in RULES.values() if rule.haproxy is not None}
    assert set(only("retry-on").split()) == named
    assert all(rule.repeat is not Repeat.NEVER for rule in RULES.values() if rule.haproxy is not None)
    assert RULES[Outcome.TIMED_OUT].haproxy is None
    assert RULES[Outcome.OVERLOADED].haproxy is None
    assert "retry-on" not in "\n".join(section("defaults common"))
    assert only("retries", section("defaults one-instance")) == "0"


def test_haproxy_finds_the_same_requests_safe() -> None:
    assert only("http-request disable-l7-retry") == "unless reading or keyed or batch"
    assert set(only("acl reading method").split()) == SAFE_METHODS
    assert only("acl keyed") == f"req.hdr({KEY_HEADER}) -m found"
    assert only("acl batch path") == BATCH_PATH


def test_the_time_outs_of_both_are_the_same_and_longer_than_the_ledgers_own() -> None:
    assert only("timeout server") == f"{ATTEMPT_SECONDS}s"
    assert only("http-request set-timeout server 70s").endswith("path /v1/proof }")
    assert only("http-request set-timeout server 60s").endswith("path /v1/events }")
    assert (PROOF_SECONDS, FEED_SECONDS) == (70, 60)
    assert Settings.model_fields["request_deadline"].default + GRACE < ATTEMPT_SECONDS
    assert 2 * KEEP_ALIVE_SECONDS < FEED_SECONDS


def test_each_code_of_overload_is_one_that_the_ledger_answers() -> None:
    assert set(OVERLOAD) <= set(CATALOGUE)
    assert "database_unavailable" not in OVERLOAD, "the other region's instances may have a database"


@pytest.mark.parametrize(
    ("method", "path", "keyed", "safe"),
    [
        ("GET", "/v1/accounts", False, True),
        ("HEAD", "/health", False, True),
        ("POST", "/v1/transfers", True, True),
        ("POST", "/v1/transfers", False, False),
        ("POST", BATCH_PATH, False, True),
        ("PATCH", BATCH_PATH, False, False),
        ("PATCH", "/v1/accounts/x", False, False),
        ("PATCH", "/v1/accounts/x", True, True),
    ],
)
def test_reads_and_what_carries_a_key_are_safe(method: str, path: str, keyed: bool, safe: bool) -> None:
    assert is_safe(method, path, keyed=keyed) is safe


def test_the_documents_show_the_table() -> None:
    text = re.sub(r"\s+", " ", (Path(__file__).parents[3] / "docs" / "local.md").read_text())
    for outcome, rule in RULES.items():
        assert f"| {outcome.value} | {rule.repeat.value} |" in text, outcome
