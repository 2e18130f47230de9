"""Each refusal, provoked over HTTP: its members and its words are those of the example in the documentation."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from chronicle_ledger.api.app import document
from chronicle_ledger.web.problems import CATALOGUE
from support.api_process import CHRONICLE, Api, Ledger, until

UNKNOWN = "00000000-0000-4000-8000-000000000000"
LARGEST = 2**53 - 1
NOT_PROVOKED = {
    "internal_error",  # a defect
    "too_many_proofs",  # needs a proof that takes its time: unit/api/test_proofs_apart.py
    "proof_unfinished",  # likewise
    "row_unreadable",  # a changed database: test_damaged_rows.py
    "clock_skew",  # needs a wrong clock: tests/unit/ledger/test_clocks.py
    "database_read_only",  # a database of its own: test_database_trouble.py
    "schema_missing",  # likewise
    "read_model_behind",  # takes five seconds: test_read_model_behind.py
    "head_timeout",  # takes ten seconds: unit/ledger/test_listener.py
    "too_many_connections",  # takes thousands of them: unit/ledger/test_listener.py
    "too_many_streams",  # needs NATS: unit/api/test_streams.py
    "overloaded",  # takes thousands of postings: integration/ledger/test_unavailable.py
}

Problem = dict[str, Any]


def problem_of(answer: httpx.Response) -> Problem:
    """The problem document, whose status is the answer's own."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: Problem = answer.json()
    assert problem["status"] == answer.status_code
    return problem


@dataclass(frozen=True)
class Guarded:
    """An API with keys and little patience (statements may take 1.5 seconds, requests 2), and requests by role."""

    url: str
    database_url: str
    keys: dict[str, str]
    ledgers: dict[str, Ledger]


@pytest.fixture(scope="module")
def guarded(
    new_database: Callable[[], str], start_api: Callable[..., Api], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = {role: _new_key(file, role) for role in ("reader", "writer")}
    api = start_api(new_database(), KEYS_FILE=str(file), REQUEST_DEADLINE="2", STATEMENT_TIMEOUT="1.5")
    with ExitStack() as stack:
        ledgers = {
            role: Ledger(stack.enter_context(api.client(headers={"Authorization": f"Bearer {key}"})))
            for role, key in keys.items()
        }
        yield Guarded(api.url, api.database_url, keys, ledgers)


def _new_key(file: Path, role: str) -> str:
    made = subprocess.run(
        [CHRONICLE, "keys", "new", "--role", role, "--name", role, "--file", file, "--json"],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(json.loads(made.stdout)["key"])


@dataclass(frozen=True)
class Stalled:
    """Requests under one key while another transaction had the account: the first, its duplicate, another body's."""

    ledger: Ledger
    account: str
    key: str
    first: httpx.Response
    duplicate: httpx.Response
    other: httpx.Response


@pytest.fixture(scope="module")
def stalled(guarded: Guarded) -> Stalled:
    ledger = guarded.ledgers["writer"]
    account, key = ledger.open(), uuid.uuid4().hex

    def deposit(amount: int) -> httpx.Response:
        return ledger.post(f"/v1/accounts/{account}/deposits", {"amount": amount}, key=key)

    waiting = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    url = guarded.database_url
    with (
        psycopg.connect(url) as blocker,
        psycopg.connect(url, autocommit=True) as watcher,
        ThreadPoolExecutor(3) as threads,
    ):
        blocker.execute("SELECT id FROM account FOR UPDATE")
        first = threads.submit(deposit, 1)
        until(lambda: watcher.execute(waiting).fetchone() == (1,), "the first request waits for the account")
        later = [threads.submit(deposit, amount) for amount in (1, 2)]
        answers = [request.result() for request in (first, *later)]
    return Stalled(ledger, account, key, *answers)


class Provocations:
    """A method for each code that can be provoked; the method's name is the code."""

    def __init__(self, ledger: Ledger, request: pytest.FixtureRequest) -> None:
        self.ledger = ledger
        self.client = ledger.client
        self._request = request

    @property
    def guarded(self) -> Guarded:
        guarded: Guarded = self._request.getfixturevalue("guarded")
        return guarded

    @property
    def stalled(self) -> Stalled:
        stalled: Stalled = self._request.getfixturevalue("stalled")
        return stalled

    def idempotency_key_missing(self) -> httpx.Response:
        return self.client.post("/v1/accounts", json={"currency": "EUR"})

    def idempotency_key_invalid(self) -> httpx.Response:
        return self.ledger.post("/v1/accounts", {"currency": "EUR"}, key="k" * 300)

    def malformed_json(self) -> httpx.Response:
        headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
        return self.client.post("/v1/transfers", content=b'{"amount":NaN}', headers=headers)

    def malformed_request(self) -> httpx.Response:
        return self.client.get("/v1/accounts?currency=%FF")

    def invalid_precondition(self) -> httpx.Response:
        account = self.ledger.open()
        return self.client.patch(f"/v1/accounts/{account}", json={"status": "frozen"}, headers={"If-Match": "seven"})

    def unauthenticated(self) -> httpx.Response:
        return httpx.get(f"{self.guarded.url}/v1/accounts")

    def forbidden(self) -> httpx.Response:
        return self.guarded.ledgers["reader"].post("/v1/accounts", {"currency": "EUR"})

    def account_not_found(self) -> httpx.Response:
        return self.client.get(f"/v1/accounts/{UNKNOWN}")

    def transaction_not_found(self) -> httpx.Response:
        return self.client.get(f"/v1/transactions/{UNKNOWN}")

    def hold_not_found(self) -> httpx.Response:
        return self.client.get(f"/v1/holds/{UNKNOWN}")

    def not_found(self) -> httpx.Response:
        return self.client.get("/v1/acounts")

    def method_not_allowed(self) -> httpx.Response:
        return self.client.delete(f"/v1/accounts/{self.ledger.open()}")

    def host_not_allowed(self) -> httpx.Response:
        return self.client.get("/v1/accounts", headers={"Host": "ledger.example.com"})

    def insufficient_funds(self) -> httpx.Response:
        return self.ledger.post(f"/v1/accounts/{self.ledger.open(30)}/withdrawals", {"amount": 100})

    def version_conflict(self) -> httpx.Response:
        return self.ledger.post(f"/v1/accounts/{self.ledger.open()}/deposits", {"amount": 1, "expected_version": 7})

    def request_in_progress(self) -> httpx.Response:
        return self.stalled.duplicate

    def account_closed(self) -> httpx.Response:
        return self._deposit_into_an_account_that_is("closed")

    def account_frozen(self) -> httpx.Response:
        return self._deposit_into_an_account_that_is("frozen")

    def _deposit_into_an_account_that_is(self, status: str) -> httpx.Response:
        account = self.ledger.open()
        assert self.client.patch(f"/v1/accounts/{account}", json={"status": status}).status_code == 200
        return self.ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1})

    def account_exists(self) -> httpx.Response:
        body = {"currency": "EUR", "id": str(uuid.uuid4())}
        assert self.ledger.post("/v1/accounts", body).status_code == 201
        return self.ledger.post("/v1/accounts", body)

    def account_not_empty(self) -> httpx.Response:
        return self.client.patch(f"/v1/accounts/{self.ledger.open(1)}", json={"status": "closed"})

    def already_reversed(self) -> httpx.Response:
        posted = self.ledger.post(f"/v1/accounts/{self.ledger.open()}/deposits", {"amount": 1}).json()
        assert self.ledger.post(f"/v1/transactions/{posted['id']}/reversal").status_code == 201
        return self.ledger.post(f"/v1/transactions/{posted['id']}/reversal")

    def _hold(self, amount: int) -> str:
        hold = self.ledger.post("/v1/holds", {"account_id": self.ledger.open(100), "amount": amount})
        return str(hold.json()["id"])

    def hold_not_pending(self) -> httpx.Response:
        hold = self._hold(1)
        assert self.ledger.post(f"/v1/holds/{hold}/capture").status_code == 201
        return self.ledger.post(f"/v1/holds/{hold}/capture")

    def batch_aborted(self) -> httpx.Response:
        return self.aborted_batch(self.ledger.open(), [1, -2])

    def aborted_batch(self, account: str, amounts: list[int]) -> httpx.Response:
        """The first result, as an answer of its own, of an atomic batch of deposits and (below 0) withdrawals."""
        items = [
            {"type": "deposit" if amount > 0 else "withdrawal", "idempotency_key": uuid.uuid4().hex,
             "account_id": account, "amount": abs(amount)}
            for amount in amounts
        ]  # fmt: skip
        answer = self.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": items})
        result = answer.json()["results"][0]
        return httpx.Response(
            result["status"], json=result["problem"], headers={"content-type": "application/problem+json"}
        )

    def precondition_failed(self) -> httpx.Response:
        account = self.ledger.open()
        return self.client.patch(f"/v1/accounts/{account}", json={"status": "frozen"}, headers={"If-Match": '"7"'})

    def body_too_large(self) -> httpx.Response:
        return self.client.post("/v1/accounts", content=b" " * ((1 << 20) + 1), headers={"Idempotency-Key": "big"})

    def unsupported_media_type(self) -> httpx.Response:
        headers = {"Idempotency-Key": "x", "Content-Type": "text/plain"}
        return self.client.post("/v1/accounts", content=b"{}", headers=headers)

    def validation_failed(self) -> httpx.Response:
        return self._deposit_of(12.5)

    def amount_out_of_range(self) -> httpx.Response:
        return self._deposit_of(0)

    def _deposit_of(self, amount: float) -> httpx.Response:
        return self.ledger.post(f"/v1/accounts/{UNKNOWN}/deposits", {"amount": amount})

    def invalid_cursor(self) -> httpx.Response:
        return self.client.get("/v1/accounts?cursor=nonsense")

    def idempotency_key_reused(self) -> httpx.Response:
        key = uuid.uuid4().hex
        assert self.ledger.post("/v1/accounts", {"currency": "EUR"}, key=key).status_code == 201
        return self.ledger.post("/v1/accounts", {"currency": "USD"}, key=key)

    def unbalanced(self) -> httpx.Response:
        return self._journal(self.ledger.open(), self.ledger.open(), 5)

    def duplicate_header(self) -> httpx.Response:
        keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        return self.client.post("/v1/accounts", json={"currency": "EUR"}, headers=keys)

    def headers_too_large(self) -> httpx.Response:
        return self.client.get("/livez", headers={"X-A": "a" * 40_000})

    def url_too_long(self) -> httpx.Response:
        return self.client.get("/livez?a=" + "a" * 20_000)

    def currency_mismatch(self) -> httpx.Response:
        return self.ledger.post(f"/v1/accounts/{self.ledger.open()}/deposits", {"amount": 1, "currency": "USD"})

    def duplicate_account(self) -> httpx.Response:
        account = self.ledger.open()
        return self._journal(account, account, -1)

    def _journal(self, one: str, other: str, amount: int) -> httpx.Response:
        entries = [{"account_id": one, "amount": 1}, {"account_id": other, "amount": amount}]
        return self.ledger.post("/v1/transactions", {"entries": entries})

    def balance_out_of_range(self) -> httpx.Response:
        account = self.ledger.open(currency="XXX")
        items = [
            {"type": "deposit", "idempotency_key": uuid.uuid4().hex, "account_id": account, "amount": LARGEST}
            for _ in range(2**62 // LARGEST)
        ]
        answer = self.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": items})
        assert {result["status"] for result in answer.json()["results"]} == {201}
        return self.ledger.post(f"/v1/accounts/{account}/deposits", {"amount": LARGEST})

    def moment_too_recent(self) -> httpx.Response:
        return self.client.get(f"/v1/accounts/{self.ledger.open()}/balance?at=2100-01-01T00:00:00Z")

    def capture_exceeds_hold(self) -> httpx.Response:
        return self.ledger.post(f"/v1/holds/{self._hold(50)}/capture", {"amount": 60})

    def not_reversible(self) -> httpx.Response:
        return self.ledger.post(f"/v1/transactions/{self._hold(1)}/reversal")

    def database_unavailable(self) -> httpx.Response:
        return self.stalled.first

    def events_unavailable(self) -> httpx.Response:
        return self.client.get("/v1/events")

    def deadline_exceeded(self) -> httpx.Response:
        """A body that never comes whole: the handler waits for it until its time is over."""
        address = httpx.URL(self.guarded.url)
        connection = http.client.HTTPConnection(address.host, address.port or 80, timeout=20)
        try:
            connection.putrequest("POST", "/v1/accounts")
            connection.putheader("Authorization", f"Bearer {self.guarded.keys['writer']}")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b'{"currency"')
            answer = connection.getresponse()
            return httpx.Response(answer.status, content=answer.read(), headers=answer.getheaders())
        finally:
            connection.close()


PROVOKED = sorted(CATALOGUE.keys() - NOT_PROVOKED)
EXAMPLES: dict[str, Problem] = {
    code: example["value"] for code, example in document()["components"]["examples"].items()
}


@pytest.fixture
def provocations(ledger: Ledger, request: pytest.FixtureRequest) -> Provocations:
    return Provocations(ledger, request)


def wording(detail: str) -> str:
    """The words of a message, whatever the case's ids and figures."""
    identity = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    return re.sub(r"-?\d+", "<number>", re.sub(identity, "<id>", detail))


@pytest.mark.parametrize("code", PROVOKED)
def test_a_refusal_has_the_members_and_the_words_of_its_documented_example(
    provocations: Provocations, code: str
) -> None:
    problem, example = problem_of(getattr(provocations, code)()), EXAMPLES[code]
    assert problem["code"] == code
    assert {name: type(value) for name, value in problem.items()} == {
        name: type(value) for name, value in example.items()
    }
    assert wording(problem["detail"]) == wording(example["detail"])


def test_every_code_is_provoked_or_known_not_to_be() -> None:
    methods = {name for name in vars(Provocations) if name in CATALOGUE}
    assert methods == set(PROVOKED)


def test_a_batch_refused_without_a_look_at_the_ledger_names_the_refused_one_too(ledger: Ledger) -> None:
    account = ledger.open()
    transfers = [
        {"type": "transfer", "idempotency_key": uuid.uuid4().hex, "source": account, "destination": to, "amount": 1}
        for to in (ledger.open(), account)
    ]
    answer = ledger.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": transfers})
    aborted, refused = (result["problem"] for result in answer.json()["results"])
    assert (aborted["code"], aborted["refused"], refused["code"]) == ("batch_aborted", 1, "duplicate_account")
    assert {name: type(value) for name, value in aborted.items()} == {
        name: type(value) for name, value in EXAMPLES["batch_aborted"].items()
    }


def test_what_is_available_in_a_refusal_is_what_is_available_on_the_account(ledger: Ledger) -> None:
    account = ledger.open(100, floor=-20)
    assert ledger.post("/v1/holds", {"account_id": account, "amount": 30}).status_code == 201
    available = ledger.client.get(f"/v1/accounts/{account}").json()["available"]
    problem = problem_of(ledger.post(f"/v1/accounts/{account}/withdrawals", {"amount": 91}))
    assert [problem[figure] for figure in ("available", "required", "floor")] == [available, 91, -20]
    assert problem["detail"] == (
        f"Account {account} has 70 available; taking 91 would leave it under its floor of -20."
    )


def test_a_floor_above_what_is_available_is_refused_in_words_about_the_floor(ledger: Ledger) -> None:
    account = ledger.open(100)
    problem = problem_of(ledger.client.patch(f"/v1/accounts/{account}", json={"floor": 120}))
    assert (problem["code"], problem["detail"]) == (
        "insufficient_funds",
        f"A floor of 120 is more than the 100 that account {account} has available; give one of 100 or less.",
    )
    assert [problem[figure] for figure in ("available", "required", "floor")] == [100, 0, 120]
    assert ledger.client.patch(f"/v1/accounts/{account}", json={"floor": 100}).status_code == 200


def test_an_entry_of_a_journal_that_moves_nothing_is_refused_by_name(ledger: Ledger) -> None:
    entries = [{"account_id": ledger.open(), "amount": amount} for amount in (1, 0)]
    problem = problem_of(ledger.post("/v1/transactions", {"entries": entries}))
    assert (problem["code"], problem["field"]) == ("amount_out_of_range", "entries[1].amount")


def test_requests_that_were_told_to_come_again_are_posted_once_when_they_do(stalled: Stalled) -> None:
    assert problem_of(stalled.other)["code"] == "request_in_progress"
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in (stalled.first, stalled.duplicate, stalled.other))
    url = f"/v1/accounts/{stalled.account}/deposits"
    assert stalled.ledger.post(url, {"amount": 1}, key=stalled.key).status_code == 201
    assert problem_of(stalled.ledger.post(url, {"amount": 2}, key=stalled.key))["code"] == "idempotency_key_reused"
    assert stalled.ledger.balance(stalled.account) == 1
