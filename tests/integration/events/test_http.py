"""The read model, the feed and /health over HTTP, with real processes of every role."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.api_process import CHRONICLE, Api, Ledger, environment, until
from support.event_servers import NatsCluster


@pytest.fixture
async def database_url(postgres_url: str) -> str:
    await migrate(postgres_url)
    return postgres_url


@pytest.fixture
def running(database_url: str, nats: NatsCluster, tmp_path: Path) -> Iterator[Api]:
    """An API with a relay and a projector beside it."""
    port = str(ledger_servers.free_port())
    processes = []
    for role in ("api", "relay", "projector"):
        settings = environment(database_url, NATS_URLS=",".join(nats.urls), NATS_REPLICAS="3", LAG_LIMIT="5")
        if role == "api":
            settings["CHRONICLE_LISTEN_PORT"] = port
        with (tmp_path / f"{role}.log").open("wb") as log:
            processes.append(subprocess.Popen([CHRONICLE, "serve", role], env=settings, stdout=log, stderr=log))
    api = Api(processes[0], tmp_path / "api.log", f"http://127.0.0.1:{port}", database_url)
    with api.client() as asking:
        until(lambda: _ready(asking), "the API is ready")
    yield api
    for process in processes:
        process.terminate()
    assert [process.wait(20) for process in processes] == [0, 0, 0]


@pytest.fixture
def client(running: Api) -> Iterator[httpx.Client]:
    """A client of it."""
    with running.client() as made:
        yield made


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_one_reads_ones_own_write_from_the_read_model(client: httpx.Client) -> None:
    account = Ledger(client).open(100)
    statement = client.get(f"/v1/views/accounts/{account}/statement", params={"min_version": 2})
    assert statement.status_code == 200, statement.text
    assert [line["balance_after"] for line in statement.json()["lines"]] == [0, 100]
    assert int(statement.headers["Chronicle-Read-Model-Lag-Events"]) >= 0
    assert float(statement.headers["Chronicle-Read-Model-Lag-Seconds"]) >= 0
    balances = client.get("/v1/views/balances", params={"account_id": account, "min_version": 2}).json()["balances"]
    assert [(line["balance"], line["version"]) for line in balances] == [(100, 2)]
    days = client.get(f"/v1/views/accounts/{account}/days").json()["days"]
    assert [(day["credits"], day["entries"], day["closing_balance"]) for day in days] == [(100, 2, 100)]
    trial = client.get("/v1/views/trial-balance").json()["currencies"]
    assert [(line["debit"], line["credit"], line["difference"]) for line in trial] == [(100, 100, 0)]
    unwritten = client.get(f"/v1/views/accounts/{account}/statement", params={"min_version": 99})
    assert (unwritten.status_code, unwritten.json()["code"]) == (422, "validation_failed")


def test_the_feed_goes_on_where_a_reader_left_it(client: httpx.Client) -> None:
    ledger = Ledger(client)
    account = ledger.open(100)
    first = _events(client, 2, {}, "start")
    assert [event["data"]["kind"] for event in first] == ["account_opened", "deposit"]
    assert ledger.post(f"/v1/accounts/{account}/withdrawals", {"amount": 30}).status_code == 201
    resumed = _events(client, 1, {"Last-Event-ID": first[-1]["id"]})
    assert resumed[0]["data"]["kind"] == "withdrawal"
    foreign = _events(client, 1, {"Last-Event-ID": "1-999"})
    assert foreign[0]["event"] == "reset", "a position in another stream is answered from the beginning"
    assert client.get("/v1/events", headers={"Last-Event-ID": "nonsense"}).status_code == 422


def _events(client: httpx.Client, count: int, headers: dict[str, str], start: str = "now") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    with client.stream("GET", "/v1/events", params={"from": start}, headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name in {"id", "event"}:
                event[name] = value
            elif name == "data":
                found.append({**event, "data": json.loads(value)})
            if len(found) == count:
                return found
    raise AssertionError("the feed ended")


def test_readers_of_the_feed_that_take_nothing_cost_little(running: Api, client: httpx.Client) -> None:
    ledger = Ledger(client)
    payer, payee = ledger.open(1000), ledger.open()
    item = {"type": "transfer", "source": payer, "destination": payee, "amount": 1, "metadata": {"n": "\u2028" * 5400}}
    for batch in range(6):
        items = [{**item, "idempotency_key": f"{batch}-{number}"} for number in range(50)]
        body = json.dumps({"atomic": False, "transactions": items}, ensure_ascii=False).encode()
        posted = client.post("/v1/transactions:batch", content=body, headers={"Content-Type": "application/json"})
        assert {result["status"] for result in posted.json()["results"]} == {201}
    until(lambda: _component(client, "relay")["backlog"] == 0, "all of it, some 10 MB, is in the stream")
    readers = [_stalled(client) for _ in range(20)]
    try:
        until(lambda: _streams(client) == 20, "all are served")
        most = 0
        ends = time.monotonic() + 6  # longer than a request for messages is open
        while time.monotonic() < ends:
            most = max(most, running.resident())
            assert client.get("/livez").status_code == 200
            time.sleep(0.2)
        assert most < 150 << 20, f"{most >> 20} MiB"
    finally:
        for reader in readers:
            reader.close()
    until(lambda: _streams(client) == 0, "nothing is left of them")


def _stalled(client: httpx.Client) -> socket.socket:
    """A reader that asks for everything and reads nothing."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((client.base_url.host, client.base_url.port))
    reader.sendall(b"GET /v1/events?from=start HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return reader


def _streams(client: httpx.Client) -> int:
    """How many streams the API serves, by its own count."""
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith("chronicle_event_streams ")]
    return int(float(line.split()[1]))


def test_health_is_degraded_and_never_down_while_nats_is_out(client: httpx.Client, nats: NatsCluster) -> None:
    ledger = Ledger(client)
    account = ledger.open(100)
    until(lambda: client.get("/health").json()["status"] == "ok", "all is well")
    # Not by /health, whose findings may be a second old and from before the account.
    until(lambda: _lag_once_shown(client, account, version=2) == 0, "the read model shows everything")
    nats.kill()
    try:
        for _ in range(8):
            assert ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1}).status_code == 201
        until(lambda: _component(client, "read_model")["status"] == "degraded", "the lag passes its limit")
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert health.json()["components"]["nats"]["status"] == "down"
        assert {server["status"] for server in health.json()["components"]["nats"]["servers"]} == {"down"}
        until(lambda: _component(client, "relay")["backlog"] == 8, "all that was posted since waits")
        view = client.get("/v1/views/balances", params={"account_id": account})
        assert view.json()["balances"][0]["balance"] == 100, "the read model waits"
        assert view.headers["Chronicle-Read-Model-Lag-Events"] == "8"
    finally:
        nats.start()
    nats.wait_ready()
    until(lambda: client.get("/health").json()["status"] == "ok", "all is well again", 40)
    # Well is what lags by less than its limit, so ask for the version of the last deposit: opened, 1 + 8 deposits.
    view = client.get("/v1/views/balances", params={"account_id": account, "min_version": 10})
    assert view.json()["balances"][0]["balance"] == 108
    assert client.get("/v1/proof", timeout=60).json()["result"] == "Passed"


def _lag_once_shown(client: httpx.Client, account: str, version: int) -> int:
    """How many events the read model lags by, measured when it has shown this version of the account."""
    view = client.get("/v1/views/balances", params={"account_id": account, "min_version": version})
    return int(view.headers["Chronicle-Read-Model-Lag-Events"])


def _component(client: httpx.Client, name: str) -> dict[str, Any]:
    component: dict[str, Any] = client.get("/health").json()["components"][name]
    return component
