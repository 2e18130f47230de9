"""A role that lacks a setting says so and ends; one that waits for its servers ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from chronicle_cli import ledger
from chronicle_cli.events import _lag_in_words
from chronicle_ledger.events import bus as buses
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.settings import SettingsError, load

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHRONICLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHRONICLE_DATABASE_URL", NOWHERE)


@pytest.mark.parametrize("role", ["relay", "projector"])
def test_a_role_that_needs_nats_ends_at_once_without_its_address(role: str) -> None:
    ended = CliRunner().invoke(ledger.serve, [role])
    assert (ended.exit_code, ended.output.count("\n")) == (2, 1)
    assert f"CHRONICLE_NATS_URLS: is not set, and the {role} cannot work without it" in ended.output


@pytest.mark.parametrize(
    "url", ["nats://", "http://host:4222", "nats://host:port", "nats://host:0", "nats://user:s3cret@"]
)
def test_an_address_that_leads_nowhere_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="CHRONICLE_NATS_URLS") as refused:
        load(nats_urls=f"nats://one:4222,{url}")
    assert "s3cret" not in str(refused.value)
    assert load(nats_urls="one:4222,tls://user:s3cret@two,nats://three:4222").nats_urls[0] == "one:4222"


def test_a_connection_is_never_made_without_a_server() -> None:
    with pytest.raises(ValueError, match="address of a server"):
        Bus({"servers": []}, "test")
    with pytest.raises(SettingsError, match="CHRONICLE_NATS_URLS"):
        buses.of(load(), "relay")


def test_certificates_that_cannot_be_used_are_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    nonsense = tmp_path_factory.mktemp("tls") / "ca.crt"
    nonsense.write_text("no certificate")
    with pytest.raises(SettingsError, match="CHRONICLE_NATS_CA_FILE"):
        buses.options(load(nats_urls="nats://one", nats_ca_file=nonsense), "relay")
    with pytest.raises(SettingsError, match="CHRONICLE_NATS_CERT_FILE"):
        load(nats_cert_file=nonsense.parent / "missing", nats_key_file=nonsense)


@pytest.fixture
def waiting_relay() -> Iterator[subprocess.Popen[str]]:
    """A relay that reaches neither its database nor NATS."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from chronicle_cli.main import main; main()", "serve", "relay"],
        env={
            **os.environ, "CHRONICLE_NATS_URLS": "nats://127.0.0.1:1", "CHRONICLE_LISTEN_PORT": "0",
            "CHRONICLE_DRAIN_DELAY": "0", "CHRONICLE_DRAIN_TIMEOUT": "1",
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_role_that_waits_for_its_servers_ends_when_it_is_told_to(waiting_relay: subprocess.Popen[str]) -> None:
    assert waiting_relay.stdout is not None
    for line in waiting_relay.stdout:
        if "listening" in line:
            break
    waiting_relay.send_signal(signal.SIGTERM)
    waiting_relay.communicate(timeout=20)
    assert waiting_relay.returncode == 0


def test_a_lag_that_is_not_known_is_unknown_in_words() -> None:
    figures = {"backlog": 12, "backlog_at_least": True, "pending": None, "lag_events": None, "lag_seconds": None}
    assert _lag_in_words(figures).startswith(
        "events in the outbox: at least 12; in the stream, not projected yet: unknown; oldest: unknown."
    )
    known = {**figures, "backlog": 1_200, "backlog_at_least": False, "pending": 3, "lag_events": 1_203}
    assert _lag_in_words({**known, "lag_seconds": 2.0}) == (
        "events in the outbox: 1,200; in the stream, not projected yet: 3; oldest: 2.0 s"
    )


def test_a_user_in_the_address_of_one_server_is_for_those_that_it_tells_of_too() -> None:
    options = buses.options(load(nats_urls="one:4222,nats://relay:s%2Fcret@two:4222"), "relay")
    assert (options["user"], options["password"]) == ("relay", "s/cret")
    assert options["inbox_prefix"] == "_INBOX.relay"
    assert "user" not in buses.options(load(nats_urls="one:4222"), "relay")
