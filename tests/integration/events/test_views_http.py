"""The read model over HTTP, page by page, with how far it is behind on every answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from chronicle_cli import main
from chronicle_ledger.domain.commands import Command, OpenAccount
from chronicle_ledger.posting.clocks import Clocks
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.store.migrate import migrate
from chronicle_ledger.store.pool import open_pool
from support import ledger_servers
from support.api_process import CHRONICLE, Ledger, environment, until
from support.event_servers import NatsCluster
from support.ledger_bench import account_named, command, deposit, withdrawal

ACCOUNT = str(account_named("a"))
LAG_EVENTS, LAG_SECONDS = "Chronicle-Read-Model-Lag-Events", "Chronicle-Read-Model-Lag-Seconds"


def _opened(name: str, currency: str) -> OpenAccount:
    return command(OpenAccount, f"open {name}", account_id=account_named(name), currency=currency)


DAYS: dict[datetime, list[Command]] = {
    datetime(2026, 1, 29, 23, 59, 59, tzinfo=UTC): [
        *[_opened(name, "EUR") for name in ("a", "b")],
        *[_opened(name, "XTS") for name in ("c", "d", "e")],
        deposit("1", account_named("a"), 100),
    ],
    datetime(2026, 1, 30, tzinfo=UTC): [
        deposit("2", account_named("a"), 10),
        withdrawal("3", account_named("a"), 40),
        deposit("4", account_named("c"), 7),
    ],
    datetime(2026, 2, 2, 12, tzinfo=UTC): [withdrawal("5", account_named("a"), 1)],
}
"""What was posted, day by day; nothing on two days between."""


def _same(moment: datetime) -> datetime:
    return moment


@pytest.fixture
async def history(postgres_url: str) -> str:
    """A database in which `DAYS` were posted."""
    await migrate(postgres_url)
    database = await open_pool(postgres_url, size=2, statement_timeout=10.0)
    for moment, commands in DAYS.items():
        service = PostingService(database, clocks=Clocks(fixed=partial(_same, moment)))
        for posting in commands:
            await service.submit(posting, deadline=30)
        await service.drain(5)
    await database.close()
    return postgres_url


@dataclass(frozen=True)
class Running:
    """The service's roles as processes, and a client of its API."""

    client: httpx.Client
    roles: dict[str, subprocess.Popen[bytes]]

    def stop(self, role: str) -> None:
        """End a role."""
        self.roles[role].terminate()
        assert self.roles[role].wait(20) == 0

    def pages(self, path: str, member: str, **query: str | int) -> list[list[dict[str, Any]]]:
        """The pages of a list, by its cursor, from first to last."""
        pages, cursor = [], None
        while True:
            answer = self.client.get(path, params={**query, **({"cursor": cursor} if cursor else {})})
            assert answer.status_code == 200, answer.text
            assert answer.headers[LAG_EVENTS] == "0"
            pages.append(answer.json()[member])
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return pages


@pytest.fixture
def running(history: str, nats: NatsCluster, tmp_path: Path) -> Iterator[Running]:
    """All roles, with a read model that shows everything."""
    port = str(ledger_servers.free_port())
    roles = {}
    with ExitStack() as stack:
        for role in ("api", "relay", "projector"):
            settings = environment(history, NATS_URLS=",".join(nats.urls), NATS_REPLICAS="3")
            if role == "api":
                settings["CHRONICLE_LISTEN_PORT"] = port
            log = stack.enter_context((tmp_path / f"{role}.log").open("wb"))
            roles[role] = subprocess.Popen([CHRONICLE, "serve", role], env=settings, stdout=log, stderr=log)
            stack.callback(roles[role].wait)
            stack.callback(roles[role].kill)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20))
        until(lambda: _shows_everything(client), "the read model shows everything", 60)
        yield Running(client, roles)


def _behind(client: httpx.Client, path: str, events: int) -> bool:
    """Whether the answer says that it is so many events behind."""
    try:
        answer = client.get(path)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.headers[LAG_EVENTS] == str(events)


def _shows_everything(client: httpx.Client) -> bool:
    if not _behind(client, "/v1/views/trial-balance", 0):
        return False
    # An API that has not reached NATS yet knows of no message that waits there, so its word alone will not do.
    lines = client.get("/v1/views/trial-balance").json()["currencies"]
    return [(line["currency"], line["accounts"], line["credit"]) for line in lines] == [("EUR", 10, 69), ("XTS", 11, 7)]


def test_balances_are_listed_by_pages_and_by_currency_as_the_ledger_has_them(running: Running) -> None:
    members = ("id", "currency", "kind", "balance", "held", "available", "version")
    listed = running.client.get("/v1/accounts", params={"limit": 1000}).json()["accounts"]
    in_ledger = [tuple(account[member] for member in members) for account in listed]
    members = ("account_id", *members[1:])
    pages = running.pages("/v1/views/balances", "balances", limit=4)
    assert [len(page) for page in pages] == [4, 4, 4, 4, 4, 1], "5 accounts and 16 of the world outside"
    assert [tuple(line[member] for member in members) for page in pages for line in page] == in_ledger
    of_one = running.pages("/v1/views/balances", "balances", limit=10, currency="XTS")
    assert [len(page) for page in of_one] == [10, 1]
    assert [line["account_id"] for page in of_one for line in page] == [
        account["id"] for account in listed if account["currency"] == "XTS"
    ]
    assert running.pages("/v1/views/balances", "balances", currency="XXX") == [[]]


def test_a_statement_is_read_by_pages_and_windows_with_its_running_balance(running: Running) -> None:
    path = f"/v1/views/accounts/{ACCOUNT}/statement"
    pages = running.pages(path, "lines", limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    lines = [line for page in pages for line in page]
    assert [(line["version"], line["kind"], line["amount"], line["balance_after"]) for line in lines] == [
        (1, "account_opened", 0, 0),
        (2, "deposit", 100, 100),
        (3, "deposit", 10, 110),
        (4, "withdrawal", -40, 70),
        (5, "withdrawal", -1, 69),
    ]
    assert [line["posted_by"] for line in lines] == ["tests"] * 5
    window: dict[str, str | int] = {"from": "2026-01-30T00:00:00Z", "to": "2026-02-02T12:00:00Z", "limit": 1}
    assert [[line["version"] for line in page] for page in running.pages(path, "lines", **window)] == [[3], [4]]


def test_the_command_line_shows_a_statement_with_its_bounds(running: Running, tmp_path: Path) -> None:
    def run(*options: str) -> Result:
        arguments = ["statement", ACCOUNT, "--url", str(running.client.base_url), *options]
        return CliRunner().invoke(main.main, arguments, env={"XDG_CONFIG_HOME": str(tmp_path)})

    lines = run().stdout.splitlines()
    assert lines[0].split() == ["POSTED", "KIND", "AMOUNT", "HELD", "BALANCE", "BY", "TRANSACTION"]
    assert [line.split()[2:6] for line in lines[2:4]] == [["deposit", "100", "0", "100"], ["deposit", "10", "0", "110"]]
    window = run("--since", "2026-01-30", "--until", "2026-02-02T12:00:00", "--json")
    assert [json.loads(line)["version"] for line in window.stdout.splitlines()] == [3, 4]
    some = run("--limit", "1", "--json")
    assert (len(some.stdout.splitlines()), "there is more" in some.stderr) == (1, True)


def test_days_are_read_by_pages_and_days_without_entries_are_left_out(running: Running) -> None:
    path = f"/v1/views/accounts/{ACCOUNT}/days"
    days = [
        {"day": "2026-01-29", "debits": 0, "credits": 100, "entries": 2, "closing_balance": 100},
        {"day": "2026-01-30", "debits": 40, "credits": 10, "entries": 2, "closing_balance": 70},
        {"day": "2026-02-02", "debits": 1, "credits": 0, "entries": 1, "closing_balance": 69},
    ]
    assert running.pages(path, "days", limit=1) == [[day] for day in days]
    assert running.pages(path, "days", limit=2) == [days[:2], days[2:]]
    assert running.pages(path, "days") == [days]


def test_every_view_says_how_far_it_is_behind(running: Running) -> None:
    client = running.client
    running.stop("projector")
    ledger = Ledger(client)
    for _ in range(3):
        assert ledger.post(f"/v1/accounts/{ACCOUNT}/deposits", {"amount": 1000}).status_code == 201
    shown: list[tuple[str, Callable[[Any], Any], Any]] = [
        (
            "/v1/views/trial-balance",
            lambda body: [(line["currency"], line["credit"]) for line in body["currencies"]],
            [("EUR", 69), ("XTS", 7)],
        ),
        (f"/v1/views/accounts/{ACCOUNT}/days", lambda body: body["days"][-1]["closing_balance"], 69),
        (f"/v1/views/accounts/{ACCOUNT}/statement", lambda body: body["account"]["balance"], 69),
        (f"/v1/views/balances?account_id={ACCOUNT}", lambda body: body["balances"][0]["balance"], 69),
    ]
    for path, figure, before in shown:
        until(partial(_behind, client, path, 3), f"{path} says that it is behind")
        answer = client.get(path)
        assert float(answer.headers[LAG_SECONDS]) > 0
        assert figure(answer.json()) == before, "what it shows is as old as it says"
    documented = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/views/trial-balance", "/v1/views/accounts/{account_id}/days", "/v1/views/balances"):
        assert {LAG_EVENTS, LAG_SECONDS} <= documented[path]["get"]["responses"]["200"]["headers"].keys()
