"""What callers are told when the database cannot do what they want: read-only, without a schema, or short of
connections."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx
import psycopg
import pytest

from chronicle_ledger.web.problems import CATALOGUE
from support import ledger_servers
from support.api_process import Api, Ledger, until


def name_of(url: str) -> str:
    """The database's name in its URL."""
    with psycopg.connect(url) as connection:
        return connection.info.dbname


def set_read_only(url: str, value: str) -> None:
    """Make new sessions read-only, and end those that there are; or let new sessions write again."""
    name = name_of(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode())
        if value == "on":
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )


def test_a_read_only_database_is_told_within_a_second_and_left_within_two_of_its_repair(
    new_database: Callable[[], str], start_api: Callable[..., Api]
) -> None:
    api = start_api(new_database(), HOLD_EXPIRY_INTERVAL="60")
    with api.client() as client:
        ledger = Ledger(client)
        account = ledger.open(100)
        set_read_only(api.database_url, "on")
        for key in ("one", "two"):
            began = time.monotonic()
            refused = ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1}, key=key)
            assert time.monotonic() - began < 1.0
            assert (refused.status_code, refused.json()["code"]) == (503, "database_read_only"), refused.text
            assert refused.json()["detail"] == CATALOGUE["database_read_only"].example
            assert 1 <= int(refused.headers["Retry-After"]) <= 3
        until(lambda: "read-only" in client.get("/readyz").text, "not ready, and the reason why")
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "down")
        assert "read-only" in health.json()["components"]["database"]["error"]
        assert ledger.balance(account) == 100, "what was written can be read"

        set_read_only(api.database_url, "off")
        repaired = time.monotonic()
        until(lambda: ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1}).status_code == 201, "posted", 2)
        until(lambda: client.get("/readyz").status_code == 200, "ready", 2 - (time.monotonic() - repaired))
        assert ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1}, key="one").status_code == 201


def test_without_the_schema_callers_are_told_to_migrate(
    postgres_server: list[str], start_api: Callable[..., Api]
) -> None:
    api = start_api(ledger_servers.create_database(postgres_server)[0], wait=False)
    with api.client() as client:
        until(lambda: client.get("/readyz").status_code == 503, "not ready")
        posted = Ledger(client).post("/v1/accounts", {"currency": "EUR"})
        for answer in (posted, client.get("/v1/accounts"), client.get("/v1/views/trial-balance")):
            assert (answer.status_code, answer.json()["code"]) == (503, "schema_missing"), answer.text
            assert answer.json()["detail"] == CATALOGUE["schema_missing"].example
            assert "chronicle migrate" in answer.json()["detail"]
            assert int(answer.headers["Retry-After"]) >= 10


@contextmanager
def readers(url: str, path: str, number: int) -> Iterator[list[httpx.Response]]:
    """As many closed-loop readers of `path`; what they were answered."""
    stop, answers = Event(), list[httpx.Response]()

    def read() -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answers.append(client.get(path))

    with ThreadPoolExecutor(number) as pool:
        for _ in range(number):
            pool.submit(read)
        try:
            yield answers
        finally:
            stop.set()


def postings(ledger: Ledger, account: str, seconds: float) -> int:
    """How many postings one after the other get through, each of which must."""
    ends, done = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        assert ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1}).status_code == 201
        done += 1
    return done


@pytest.fixture(scope="module")
def slow(new_database: Callable[[], str], start_api: Callable[..., Api]) -> Api:
    """An API whose trial balance takes the database half a second."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE account_view RENAME TO account_view_rows")
        connection.execute(
            "CREATE VIEW account_view AS SELECT v.* FROM (SELECT pg_sleep(0.5)) AS wait"
            " CROSS JOIN LATERAL (SELECT 1 WHERE wait IS NOT NULL) AS waited RIGHT JOIN account_view_rows AS v ON true"
        )
        connection.execute(
            "INSERT INTO account_view_rows SELECT 1, gen_random_uuid(), 'EUR', 'customer', 0, 0, 1, now()"
        )
    return start_api(url, DATABASE_MAX_WAITING="20")


def test_readers_take_neither_the_connections_of_postings_nor_those_of_probes(slow: Api) -> None:
    with slow.client() as client:
        ledger = Ledger(client)
        account = ledger.open()
        shares: list[float] = []
        while not shares or (
            max(shares) < 0.5 and len(shares) < 4
        ):  # tests beside this one may take from either figure
            alone = postings(ledger, account, 1.0)
            with readers(slow.url, "/v1/views/trial-balance", 16) as answers:
                until(lambda: bool(answers), "a reader is answered")
                shares.append(postings(ledger, account, 1.0) / alone)
                for path in ("/readyz", "/health", "/readyz"):
                    assert client.get(path).status_code == 200, path
            assert {answer.status_code for answer in answers} <= {200, 503}
        assert max(shares) >= 0.5, shares


def test_readers_beyond_what_may_wait_are_turned_away_at_once(slow: Api) -> None:
    with readers(slow.url, "/v1/views/trial-balance", 40) as answers:
        until(lambda: len(answers) >= 40, "all are answered")
        assert httpx.get(f"{slow.url}/readyz").status_code == 200
    refused = [answer for answer in answers if answer.status_code == 503]
    assert Counter(answer.json()["code"] for answer in refused) == {"overloaded": len(refused)}
    assert "wait for the database" in refused[0].json()["detail"]
    assert len({answer.headers["Retry-After"] for answer in refused}) > 1, "they come back apart"
