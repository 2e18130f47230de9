"""`chronicle account`, `transfer`, `hold`, `transaction` on a real API: what is shown, and with which status."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chronicle_cli import connection, exits, main
from support.api_process import Api, Ledger


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command on the shared API, whose address is in the environment; no profile of this machine is read."""
    monkeypatch.setenv("CHRONICLE_URL", api.url)
    monkeypatch.setattr(connection, "profiles_file", lambda: tmp_path / "profiles.toml")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main.main, list(arguments))

    return invoke


def told(result: Result) -> Any:
    """Return the one JSON object that a command printed."""
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_money_comes_in_moves_and_goes_out(run: Any, ledger: Ledger) -> None:
    source = told(run("account", "open", "EUR", "--metadata", '{"name": "till"}', "--json"))
    destination = told(run("account", "open", "EUR", "--json"))["id"]
    assert source["metadata"] == {"name": "till"}
    told(run("account", "deposit", source["id"], "500", "EUR", "--json"))
    moved = told(run("transfer", source["id"], destination, "200", "EUR", "--json"))
    told(run("account", "withdraw", destination, "50", "EUR", "--json"))
    assert (ledger.balance(source["id"]), ledger.balance(destination)) == (300, 150)
    shown = run("transaction", "show", moved["id"])
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:2] == [moved["id"], "transfer"]
    assert lines[1].split() == ["ACCOUNT", "CURRENCY", "AMOUNT", "HELD", "BALANCE", "VERSION"]
    assert sorted(line.split()[2] for line in lines[2:]) == ["-200", "200"]


def test_a_transfer_is_reversed_once(run: Any, ledger: Ledger) -> None:
    source, destination = ledger.open(100), ledger.open()
    moved = told(run("transfer", source, destination, "60", "EUR", "--json"))["id"]
    assert told(run("transaction", "reverse", moved, "--json"))["reverses"] == moved
    again = run("transaction", "reverse", moved)
    assert (again.exit_code, ledger.balance(source)) == (1, 100)
    assert "already_reversed" in again.stderr


def test_a_hold_is_captured_in_part_and_another_released(run: Any, ledger: Ledger) -> None:
    account, shop = ledger.open(100), ledger.open()
    held = told(run("hold", "create", account, "60", "EUR", "--to", shop, "--json"))["id"]
    assert "pending" in run("hold", "show", held).stdout
    assert told(run("hold", "capture", held, "--amount", "25", "--json"))["captured"] == 25
    assert (ledger.balance(account), ledger.balance(shop)) == (75, 25)
    other = told(run("hold", "create", account, "75", "EUR", "--json"))["id"]
    assert told(run("hold", "release", other, "--json"))["state"] == "released"
    assert "75" in run("account", "show", account).stdout


def test_a_refusal_is_told_with_its_figures_and_status_1(run: Any, ledger: Ledger) -> None:
    account = ledger.open(10)
    refused = run("account", "withdraw", account, "11", "EUR")
    assert (refused.exit_code, refused.stdout, ledger.balance(account)) == (1, "", 10)
    assert "insufficient_funds" in refused.stderr
    assert "available: 10" in refused.stderr
    assert run("account", "show", str(uuid.uuid4())).exit_code == 1
    told(run("account", "set", account, "--status", "frozen", "--json"))
    assert "account_frozen" in run("account", "deposit", account, "1", "EUR").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["account", "show", "no-id"], "UUID"), (["account", "deposit", str(uuid.UUID(int=1)), "0", "EUR"], "AMOUNT"),
        (["account", "deposit", str(uuid.UUID(int=1)), "1.5", "EUR"], "AMOUNT"),
        (["account", "deposit", str(uuid.UUID(int=1)), "1", "euro"], "euro"),
        (["account", "open", "EUR", "--metadata", "[1]"], "JSON object"),
        (["account", "set", str(uuid.UUID(int=1))], "--status"),
        (["account", "list", "--url", "localhost:80"], "https://"),
        (["account", "list", "--profile", "elsewhere"], "elsewhere"),
        (["account", "list", "--key-file", "/nowhere/key"], "/nowhere/key"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_status_2_and_names_what(run: Any, arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, ""), result.output
    assert words in result.stderr


def test_a_list_is_a_table_of_whole_ids_or_a_line_of_json_each_and_says_that_there_is_more(run: Any) -> None:
    currency = f"T{uuid.uuid4().hex[:8].upper()}"
    made = {told(run("account", "open", currency, "--json"))["id"] for _ in range(3)}
    table = run("account", "list", "--currency", currency)
    assert table.stdout.splitlines()[0].split()[0] == "ID"
    assert {line.split()[0] for line in table.stdout.splitlines()[1:]} == made
    assert table.stderr == ""
    some = run("account", "list", "--currency", currency, "--limit", "2", "--json")
    assert {json.loads(line)["id"] for line in some.stdout.splitlines()} < made
    assert len(some.stdout.splitlines()) == 2
    assert "there is more" in some.stderr
    assert run("account", "list", "--currency", f"{currency}X").stdout == "none\n"


def test_what_others_wrote_steers_no_terminal(run: Any) -> None:
    account = told(run("account", "open", "EUR", "--metadata", '{"name": "\\u001b[2J[red]"}', "--json"))["id"]
    shown = run("account", "show", account).stdout
    assert "\x1b" not in shown
    assert "[red]" in shown


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes each request and closes without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


def test_an_unknown_outcome_is_status_3_and_tells_the_key_that_settles_it(run: Any, ledger: Ledger, deaf: str) -> None:
    account = ledger.open(10)
    command = ["account", "withdraw", account, "4", "EUR"]
    lost = run(*command, "--url", deaf, "--deadline", "0")
    assert lost.exit_code == exits.INCONCLUSIVE, lost.output
    key = lost.stderr.partition("--idempotency-key ")[2].split()[0]
    first = told(run(*command, "--idempotency-key", key, "--json"))
    assert told(run(*command, "--idempotency-key", key, "--json")) == first
    assert ledger.balance(account) == 6


def test_an_api_that_is_not_there_is_status_3_without_a_key(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    result = run("account", "open", "EUR", "--url", url, "--deadline", "0")
    assert result.exit_code == exits.INCONCLUSIVE
    assert "--idempotency-key" not in result.stderr


def test_a_profile_says_what_is_not_given(run: Any, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHRONICLE_URL")
    none = run("account", "list")
    assert none.exit_code == exits.USAGE
    assert str(tmp_path / "profiles.toml") in none.stderr
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "profiles.toml").write_text(
        f'[default]\nurl = "{api.url}"\n[eu]\nurl = "{api.url}"\nkey_file = "key"\n'
    )
    assert run("account", "list", "--limit", "1").exit_code == 0
    assert run("account", "list", "--limit", "1", "--profile", "eu").exit_code == 0
    assert connection.read_profile("eu").key_file == tmp_path / "key"
    assert "it has: default, eu" in run("account", "list", "--profile", "us").stderr
    (tmp_path / "profiles.toml").write_text('[default]\nkey = "secret"\n')
    wrong = run("account", "list")
    assert (wrong.exit_code, "secret" in wrong.output) == (exits.USAGE, False)
    (tmp_path / "profiles.toml").write_text("[default\n")
    assert run("account", "list").exit_code == exits.USAGE
