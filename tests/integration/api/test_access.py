"""Keys: who may do what, that they rotate without a restart, and that they never reach the log."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.api_process import CHRONICLE, Api, Ledger, environment, until


def new_key(file: Path, role: str, name: str) -> str:
    made = subprocess.run(
        [CHRONICLE, "keys", "new", "--role", role, "--name", name, "--file", file, "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    key: str = json.loads(made.stdout)["key"]
    return key


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def keys(key_file: Path) -> dict[str, str]:
    return {role: new_key(key_file, role, f"a-{role}") for role in ("reader", "auditor", "writer", "admin")}


@pytest.fixture(scope="module")
def guarded(
    new_database: Callable[[], str], start_api: Callable[..., Api], key_file: Path, keys: dict[str, str]
) -> Api:
    return start_api(new_database(), KEYS_FILE=str(key_file), LOG_REQUESTS="all", LOG_LEVEL="debug")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_the_key_file_holds_hashes_and_no_key(guarded: Api, key_file: Path, keys: dict[str, str]) -> None:
    text = key_file.read_text()
    assert not [role for role, key in keys.items() if key in text]
    assert [entry["role"] for entry in json.loads(text)["keys"]] == ["reader", "auditor", "writer", "admin"]
    assert key_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_health_metrics_and_documentation_need_no_key(guarded: Api, path: str) -> None:
    assert httpx.get(guarded.url + path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer clk_wrong"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer é".encode("latin-1")},
    ],
)
@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/nothing", "/health/", "/"])
def test_everything_else_needs_a_key(guarded: Api, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(guarded.url + path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_role_may_do_what_it_says_and_no_more(guarded: Api, keys: dict[str, str]) -> None:
    with guarded.client() as client:
        statuses = {}
        for role, key in keys.items():
            client.headers = httpx.Headers(bearer(key))
            ledger = Ledger(client)
            credit = ledger.post("/v1/accounts", {"currency": "EUR", "floor": None})
            opened = ledger.post("/v1/accounts", {"currency": "EUR"})
            account = opened.json().get("id", "00000000-0000-4000-8000-000000000000")
            frozen = client.patch(f"/v1/accounts/{account}", json={"status": "frozen"})
            statuses[role] = [
                client.get("/v1/accounts").status_code, opened.status_code, frozen.status_code, credit.status_code
            ]  # fmt: skip
    assert statuses == {
        "reader": [200, 403, 403, 403],
        "auditor": [200, 403, 403, 403],
        "writer": [200, 201, 403, 403],
        "admin": [200, 201, 200, 201],
    }


def test_a_transaction_says_whose_key_posted_it(guarded: Api, keys: dict[str, str]) -> None:
    with guarded.client() as client:
        client.headers = httpx.Headers(bearer(keys["writer"]))
        ledger = Ledger(client)
        account = ledger.open()
        posted = ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 5}).json()
        read = client.get(f"/v1/transactions/{posted['id']}").json()
        entries = client.get(f"/v1/accounts/{account}/entries").json()["entries"]
    assert posted["posted_by"] == "a-writer"
    assert read == posted
    assert [entry["posted_by"] for entry in entries] == ["a-writer", "a-writer"]


def test_an_idempotency_key_belongs_to_the_caller_and_shows_nothing_of_anothers(
    guarded: Api, keys: dict[str, str]
) -> None:
    with guarded.client() as client:
        ledger = Ledger(client)
        client.headers = httpx.Headers(bearer(keys["writer"]))
        account = ledger.open()
        path = f"/v1/accounts/{account}/deposits"
        mine = ledger.post(path, {"amount": 5}, key="1")
        again = ledger.post(path, {"amount": 5}, key="1")
        client.headers = httpx.Headers(bearer(keys["admin"]))
        others = ledger.post(path, {"amount": 5}, key="1")
        squatted = ledger.post(path, {"amount": 7}, key="2")
        client.headers = httpx.Headers(bearer(keys["writer"]))
        unharmed = ledger.post(path, {"amount": 9}, key="2")
        balance = ledger.balance(account)
    assert [answer.status_code for answer in (mine, again, others, squatted, unharmed)] == [201] * 5
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in others.headers
    assert len({answer.json()["id"] for answer in (mine, again, others)}) == 2
    assert balance == 5 + 5 + 7 + 9


def test_a_refusal_for_the_role_names_the_role_that_is_needed(guarded: Api, keys: dict[str, str]) -> None:
    answer = httpx.post(f"{guarded.url}/v1/accounts", json={"currency": "EUR"}, headers=bearer(keys["reader"]))
    assert (answer.json()["code"], answer.json()["required"]) == ("forbidden", "writer")


def test_a_new_key_is_let_in_and_a_removed_one_is_not_without_a_restart(guarded: Api, key_file: Path) -> None:
    key = new_key(key_file, "reader", "rotated")

    def status() -> int:
        return httpx.get(f"{guarded.url}/v1/accounts", headers=bearer(key)).status_code

    until(lambda: status() == 200, "the new key is let in")
    entries = [entry for entry in json.loads(key_file.read_text())["keys"] if entry["name"] != "rotated"]
    temporary = key_file.with_suffix(".new")
    temporary.write_text(json.dumps({"keys": entries}))
    temporary.replace(key_file)
    until(lambda: status() == 401, "the removed key is refused")


def test_a_broken_key_file_leaves_the_former_keys_in_force(guarded: Api, key_file: Path, keys: dict[str, str]) -> None:
    whole = key_file.read_text()
    key_file.write_text('{"keys": [')
    until(lambda: any(line["event"].startswith("file not reloaded") for line in guarded.lines()), "the log says so")
    try:
        assert httpx.get(f"{guarded.url}/v1/accounts", headers=bearer(keys["reader"])).status_code == 200
    finally:
        key_file.write_text(whole)


def test_no_key_reaches_the_log_at_any_level(guarded: Api, keys: dict[str, str]) -> None:
    secret = "clk_this-one-is-unknown-and-must-not-be-logged"
    with guarded.client() as client:
        for key in (*keys.values(), secret):
            client.get("/v1/accounts", headers=bearer(key))
            client.get("/v1/accounts", headers={"Authorization": key})
            client.post("/v1/accounts", content=b"{", headers={**bearer(key), "Content-Type": "application/json"})
    until(lambda: sum(line["event"] == "request" for line in guarded.lines()) >= 12, "the requests are logged")
    text = guarded.log.read_text()
    assert not [key for key in (*keys.values(), secret) if key in text or key.removeprefix("clk_") in text]
    assert any(line.get("principal") == "a-writer" for line in guarded.lines())


def test_a_refused_key_is_logged_with_the_address_and_without_the_key(guarded: Api, keys: dict[str, str]) -> None:
    expected = {(401, "127.0.0.1", "unknown"), (403, "127.0.0.1", "a-reader")}

    def told() -> bool:  # asked again, since only some lines in a window are written, and other tests are refused too
        httpx.get(f"{guarded.url}/v1/accounts", headers=bearer("clk_wrong-and-secret"))
        httpx.post(f"{guarded.url}/v1/accounts", json={"currency": "EUR"}, headers=bearer(keys["reader"]))
        lines = [line for line in guarded.lines() if line["event"] == "access refused"]
        return expected <= {(line["status"], line["client"], line["principal"]) for line in lines}

    until(told, "both are logged")
    assert "wrong-and-secret" not in guarded.log.read_text()
    assert 'chronicle_http_refused_access_total{status="401"}' in httpx.get(f"{guarded.url}/metrics").text


def test_an_api_without_a_key_file_says_that_it_is_open(api: Api) -> None:
    warnings = [line["event"] for line in api.lines() if line["level"] == "warning"]
    assert any(warning.startswith("access is open") for warning in warnings)


def test_an_unreadable_key_file_stops_the_start(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"keys": [{"name": "x", "role": "king", "sha256": "00"}]}')
    ended = subprocess.run(
        [CHRONICLE, "serve", "api"],
        check=False,
        env=environment(postgres_url, KEYS_FILE=str(file)),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "CHRONICLE_KEYS_FILE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_hash_is_made_of_a_key_from_standard_input(tmp_path: Path) -> None:
    key = new_key(tmp_path / "keys.json", "reader", "one")
    hashed = subprocess.run([CHRONICLE, "keys", "hash"], input=key, check=True, capture_output=True, text=True)
    assert json.loads((tmp_path / "keys.json").read_text())["keys"][0]["sha256"] == hashed.stdout.strip()
    short = subprocess.run([CHRONICLE, "keys", "hash"], check=False, input="hunter2", capture_output=True, text=True)
    assert short.returncode == 2


@pytest.mark.parametrize(("role", "statuses"), [("reader", {403}), ("writer", {403}), ("auditor", {200})])
def test_proofs_are_for_auditors(guarded: Api, keys: dict[str, str], role: str, statuses: set[int]) -> None:
    answer = httpx.get(f"{guarded.url}/v1/proof", headers=bearer(keys[role]), timeout=60)
    assert answer.status_code in statuses, answer.text
    if answer.status_code == 200:
        assert answer.json()["result"] == "Passed"
        again = httpx.get(f"{guarded.url}/v1/proof", headers=bearer(keys["admin"]), timeout=60)
        assert (again.status_code, again.json()["code"]) == (429, "too_many_proofs")
        assert int(again.headers["retry-after"]) >= 1
        posting = httpx.post(f"{guarded.url}/v1/accounts", headers=bearer(keys[role]), json={"currency": "EUR"})
        assert posting.status_code == 403, "an auditor posts nothing"


def test_the_documentation_loads_nothing_from_elsewhere_and_its_policy_forbids_it(guarded: Api) -> None:
    page = httpx.get(guarded.url + "/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded == ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]
    for name in loaded:
        answer = httpx.get(f"{guarded.url}/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "openapi.json" in httpx.get(f"{guarded.url}/docs/start.js").text


def test_a_ledger_without_keys_answers_to_no_name_that_a_stranger_could_own(
    new_database: Callable[[], str], start_api: Callable[..., Api]
) -> None:
    api = start_api(new_database(), ALLOWED_HOSTS="ledger.example.com")
    statuses = {
        host: httpx.get(f"{api.url}/v1/accounts", headers={"Host": host}).status_code
        for host in ("127.0.0.1.rebind.example.com", "evil.com:8080", "ledger.example.com", "localhost", "127.0.0.1:1")
    }
    assert list(statuses.values()) == [421, 421, 200, 200, 200], statuses
    assert httpx.get(f"{api.url}/health", headers={"Host": "any.example.com"}).status_code == 200
