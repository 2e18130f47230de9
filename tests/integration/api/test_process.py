"""A process from start to end: settings, readiness, a database that is away, the drain, certificates."""

from __future__ import annotations

import datetime
import signal
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.api_process import CHRONICLE, Api, Ledger, environment, until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://elsewhere"),
        ("LISTEN_PORT", "eighty"),
        ("DATABASE_POOL_SIZE", "1"),
        ("STATEMENT_TIMEOUT", "9"),
        ("KEYS_FILE", "/nowhere/keys.json"),
        ("TLS_CERT_FILE", "/nowhere/cert.pem"),
        ("LOG_FORMAT", "xml"),
        ("CONFIG_FILE", "/nowhere/config.toml"),
        ("SABOTAGE", "idempotency"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_its_name_and_no_traceback(name: str, value: str) -> None:
    ended = subprocess.run(
        [CHRONICLE, "serve", "api"],
        check=False,
        env=environment(NOWHERE, **{name: value}),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert f"CHRONICLE_{name}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_ends_the_start_with_the_name_of_the_setting(api: Api) -> None:
    port = api.url.rpartition(":")[2]
    ended = subprocess.run(
        [CHRONICLE, "serve", "api"],
        check=False,
        env=environment(NOWHERE, LISTEN_PORT=port),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "CHRONICLE_LISTEN_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_settings_may_come_from_a_file_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "chronicle.toml"
    file.write_text('listen_port = 70000\nlog_format = "json"\n')
    env = environment(NOWHERE, CONFIG_FILE=str(file))
    del env["CHRONICLE_LISTEN_PORT"]
    ended = subprocess.run([CHRONICLE, "serve", "api"], check=False, env=env, capture_output=True, text=True)
    assert (ended.returncode, "CHRONICLE_LISTEN_PORT" in ended.stderr) == (2, True)
    file.write_text("listen_prot = 1\n")
    ended = subprocess.run([CHRONICLE, "serve", "api"], check=False, env=env, capture_output=True, text=True)
    assert (ended.returncode, "CHRONICLE_LISTEN_PROT" in ended.stderr) == (2, True)


@pytest.fixture(scope="module")
def stranded(start_api: Callable[..., Api]) -> Api:
    """An API whose database does not exist."""
    return start_api(NOWHERE, wait=False, STATEMENT_TIMEOUT="1", REQUEST_DEADLINE="2")


def test_without_its_database_an_api_is_alive_but_not_ready(stranded: Api) -> None:
    assert httpx.get(f"{stranded.url}/livez").status_code == 200
    ready = httpx.get(f"{stranded.url}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "down")


def test_without_its_database_health_says_down_and_never_hangs(stranded: Api) -> None:
    for _ in range(3):
        begun = time.monotonic()
        answer = httpx.get(f"{stranded.url}/health")
        assert time.monotonic() - begun < 2.5
        assert (answer.status_code, answer.json()["status"]) == (503, "down")
        assert answer.json()["components"]["database"]["status"] == "down"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_its_database_a_request_is_told_to_come_again(stranded: Api, method: str) -> None:
    body = {"currency": "EUR"} if method == "POST" else None
    begun = time.monotonic()
    answer = httpx.request(
        method, f"{stranded.url}/v1/accounts", json=body, headers={"Idempotency-Key": "x"}, timeout=10
    )
    assert time.monotonic() - begun < 4
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_the_log_has_a_request_under_the_id_that_it_came_with(stranded: Api) -> None:
    identity = f"order-{uuid.uuid4()}"
    answer = httpx.get(f"{stranded.url}/v1/accounts?limit=1", headers={"X-Request-Id": identity}, timeout=10)
    assert answer.headers["x-request-id"] == answer.json()["instance"] == identity

    def logged() -> list[dict[str, Any]]:
        return [it for it in stranded.lines() if it.get("request_id") == identity]

    # The line comes once the answer is on its way.
    until(lambda: any(it["event"] == "request" for it in logged()), "the request is in the log")
    (line,) = [it for it in logged() if it["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/accounts", 503)
    other = [line for line in stranded.lines() if line["event"] == "request" and line not in logged()]
    assert identity not in {line["request_id"] for line in other}


def test_an_api_is_not_ready_before_the_schema_is_there(postgres_url: str, start_api: Callable[..., Api]) -> None:
    api = start_api(postgres_url, wait=False)
    until(lambda: "chronicle migrate" in httpx.get(f"{api.url}/health").text, "health names the command to run")
    assert httpx.get(f"{api.url}/readyz").status_code == 503


def test_a_drain_under_load_loses_nothing_that_was_answered(
    new_database: Callable[[], str], start_api: Callable[..., Api]
) -> None:
    """Every request is either answered or cut before it was begun, and what was answered is there."""
    url = new_database()
    api = start_api(url, DRAIN_DELAY="60")
    with api.client() as client:
        account = Ledger(client).open()
    answered: list[str] = []
    closing = threading.Event()
    ended = threading.Event()

    def deposit(_: int) -> None:
        with api.client(limits=httpx.Limits(max_connections=1)) as client:
            while not ended.is_set():
                key = uuid.uuid4().hex
                try:
                    answer = client.post(
                        f"/v1/accounts/{account}/deposits", json={"amount": 1}, headers={"Idempotency-Key": key}
                    )
                except httpx.ConnectError:
                    return  # nobody listens any more
                except httpx.TransportError:
                    continue  # cut while it waited to be accepted; the balance below shows that it was not begun
                assert answer.status_code == 201, answer.text
                answered.append(key)
                if answer.headers.get("connection") == "close":
                    closing.set()

    with ThreadPoolExecutor(8) as threads:
        workers = [threads.submit(deposit, number) for number in range(8)]
        until(lambda: len(answered) > 200, "load")
        api.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{api.url}/readyz").status_code == 503, "unready while it still answers")
        assert closing.wait(20), "answers during the drain ask to close the connection"
        api.process.send_signal(signal.SIGTERM)  # the second one skips the delay
        assert api.process.wait(30) == 0
        ended.set()
        for worker in workers:
            worker.result()
    with start_api(url).client() as client:
        assert Ledger(client).balance(account) == len(answered)


def test_a_request_longer_than_the_drain_does_not_keep_the_process_from_ending(
    new_database: Callable[[], str], start_api: Callable[..., Api]
) -> None:
    """Its caller is told that the outcome is unknown, and sends it again under its key: it is posted once."""
    url = new_database()
    patient = start_api(url, STATEMENT_TIMEOUT="50", REQUEST_DEADLINE="60", DRAIN_TIMEOUT="1")
    with patient.client() as client:
        account = Ledger(client).open()
    path, key = f"/v1/accounts/{account}/deposits", uuid.uuid4().hex

    def deposit(api: Api) -> httpx.Response:
        with api.client() as client:
            return Ledger(client).post(path, {"amount": 7}, key=key)

    waiting = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with (
        psycopg.connect(url) as blocker,
        psycopg.connect(url, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as threads,
    ):
        blocker.execute("SELECT id FROM account FOR UPDATE")
        cut = threads.submit(deposit, patient)
        until(lambda: watcher.execute(waiting).fetchone() == (1,), "the deposit waits for its account")
        begun = time.monotonic()
        patient.process.send_signal(signal.SIGTERM)
        assert patient.process.wait(30) == 0
        assert time.monotonic() - begun < 15, "one second is what it may take; a minute is what it would"
        assert (cut.result().status_code, cut.result().json()["code"]) == (503, "deadline_exceeded")
        assert any(line["event"].startswith("postings not finished in time") for line in patient.lines())
    successor = start_api(url)
    assert deposit(successor).status_code == 201
    with successor.client() as client:
        assert Ledger(client).balance(account) == 7


def certificate(folder: Path, name: str) -> None:
    """Write a self-signed certificate for 127.0.0.1, whose subject is `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    (folder / "cert.pem").write_bytes(made.public_bytes(encoding))


def test_a_renewed_certificate_is_served_without_a_restart(
    api: Api, start_api: Callable[..., Api], tmp_path: Path
) -> None:
    certificate(tmp_path, "first")
    secure = start_api(
        api.database_url,
        scheme="https",
        wait=False,
        TLS_CERT_FILE=str(tmp_path / "cert.pem"),
        TLS_KEY_FILE=str(tmp_path / "key.pem"),
    )
    port = int(secure.url.rpartition(":")[2])

    def served() -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
        name = x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(name[0].value)

    until(lambda: served() == "first", "the first certificate")
    certificate(tmp_path, "second")
    until(lambda: served() == "second", "the second certificate")
    assert secure.process.poll() is None
