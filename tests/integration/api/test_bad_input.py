"""Whatever a caller sends, the answer is a problem with a code, and nothing is written."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chronicle_ledger.api.app import document
from support.api_process import Api, Ledger

UNKNOWN = "00000000-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}


def body_with(member: str) -> bytes:
    """A transfer in which one member is as given; the rest is right."""
    return f'{{"source":"SOURCE","destination":"DESTINATION",{member}}}'.encode()


TRANSFERS: list[tuple[str, bytes, int, str, str | None]] = [
    ("a float", body_with('"amount":1.5'), 422, "validation_failed", "amount"),
    ("a float without a fraction", body_with('"amount":1.0'), 422, "validation_failed", "amount"),
    ("an exponent", body_with('"amount":1e3'), 422, "validation_failed", "amount"),
    ("a numeric string", body_with('"amount":"100"'), 422, "validation_failed", "amount"),
    ("NaN", body_with('"amount":NaN'), 400, "malformed_json", None),
    ("Infinity", body_with('"amount":Infinity'), 400, "malformed_json", None),
    ("true", body_with('"amount":true'), 422, "validation_failed", "amount"),
    ("null", body_with('"amount":null'), 422, "validation_failed", "amount"),
    ("a list", body_with('"amount":[1]'), 422, "validation_failed", "amount"),
    ("zero", body_with('"amount":0'), 422, "amount_out_of_range", "amount"),
    ("minus zero", body_with('"amount":-0'), 422, "amount_out_of_range", "amount"),
    ("a negative amount", body_with('"amount":-5'), 422, "amount_out_of_range", "amount"),
    ("2^53", body_with('"amount":9007199254740992'), 422, "amount_out_of_range", "amount"),
    ("2^64", body_with('"amount":18446744073709551616'), 422, "amount_out_of_range", "amount"),
    ("thousands of digits", body_with('"amount":' + "9" * 5000), 422, "amount_out_of_range", "amount"),
    ("a leading zero", body_with('"amount":01'), 400, "malformed_json", None),
    ("an unknown member", body_with('"amount":1,"fee":1'), 422, "validation_failed", "fee"),
    ("no amount", b'{"source":"SOURCE","destination":"DESTINATION"}', 422, "validation_failed", "amount"),
    ("a member given twice", body_with('"amount":1,"amount":2'), 400, "malformed_json", "amount"),
    ("a currency in small letters", body_with('"amount":1,"currency":"eur"'), 422, "validation_failed", "currency"),
    ("a currency with a line break", body_with('"amount":1,"currency":"EUR\\n"'), 422, "validation_failed", "currency"),
    ("another currency", body_with('"amount":1,"currency":"USD"'), 422, "currency_mismatch", None),
    ("NUL in metadata", body_with('"amount":1,"metadata":{"a":"x\\u0000"}'), 422, "validation_failed", "body"),
    ("NUL in a name in metadata", body_with('"amount":1,"metadata":{"\\u0000":1}'), 422, "validation_failed", "body"),
    ("a lone surrogate", body_with('"amount":1,"metadata":{"a":"\\ud800"}'), 400, "malformed_json", None),
    ("a float in metadata", body_with('"amount":1,"metadata":{"a":0.1}'), 422, "validation_failed", "metadata.a"),
    ("a huge number in metadata", body_with('"amount":1,"metadata":{"a":[99999999999999999999]}'), 422,
     "validation_failed", "metadata.a[0]"),
    ("metadata that is no object", body_with('"amount":1,"metadata":[]'), 422, "validation_failed", "metadata"),
    ("deep metadata", body_with('"amount":1,"metadata":{"a":' + "[" * 20 + "]" * 20 + "}"), 422,
     "validation_failed", "metadata"),
    ("endless nesting", body_with('"amount":1,"metadata":{"a":' + "[" * 50_000 + "]" * 50_000 + "}"), 400,
     "malformed_json", None),
    ("too much metadata", body_with('"amount":1,"metadata":{"a":"' + "x" * 20_000 + '"}'), 422,
     "validation_failed", "metadata"),
    ("a time without an offset", body_with('"amount":1,"effective_at":"2026-01-01T00:00:00"'), 422,
     "validation_failed", "effective_at"),
    ("a time before time", body_with('"amount":1,"effective_at":"0001-01-01T00:00:00+14:00"'), 422,
     "validation_failed", "effective_at"),
    ("an account that is no UUID", b'{"source":"x","destination":"DESTINATION","amount":1}', 422,
     "validation_failed", "source"),
    ("an unknown account", f'{{"source":"{UNKNOWN}","destination":"DESTINATION","amount":1}}'.encode(), 404,
     "account_not_found", None),
    ("one account on both sides", b'{"source":"SOURCE","destination":"SOURCE","amount":1}', 422,
     "duplicate_account", None),
    ("more than there is", body_with('"amount":101'), 409, "insufficient_funds", None),
    ("an old version", body_with('"amount":1,"expected_version":1'), 409, "version_conflict", None),
    ("half a body", b'{"source":"SOURCE"', 400, "malformed_json", None),
    ("no body", b"", 400, "malformed_json", None),
    ("a list of transfers", b"[]", 422, "validation_failed", "body"),
    ("text", b'"transfer"', 422, "validation_failed", "body"),
    ("bytes that are not UTF-8", body_with('"amount":1,"currency":"\xff"').decode("utf-8").encode("latin-1"), 400,
     "malformed_json", None),
    ("a byte order mark", b"\xef\xbb\xbf{}", 400, "malformed_json", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def parties(api: Api) -> Iterator[tuple[str, str]]:
    with api.client() as client:
        ledger = Ledger(client)
        yield ledger.open(100), ledger.open()


def assert_refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    if field is not None:
        assert problem["field"] == field


@pytest.mark.parametrize(("what", "body", "status", "code", "field"), TRANSFERS, ids=[row[0] for row in TRANSFERS])
def test_a_transfer_with_bad_content_is_refused_and_nothing_is_written(
    api: Api, client: httpx.Client, parties: tuple[str, str], what: str, body: bytes, status: int, code: str,
    field: str | None,
) -> None:  # fmt: skip
    content = body.replace(b"SOURCE", parties[0].encode()).replace(b"DESTINATION", parties[1].encode())
    before = api.size()
    answer = client.post("/v1/transfers", content=content, headers={**JSON, "Idempotency-Key": uuid.uuid4().hex})
    assert_refused(answer, status, code, field)
    assert api.size() == before


def test_the_same_body_without_its_fault_is_posted(api: Api, client: httpx.Client, parties: tuple[str, str]) -> None:
    content = body_with('"amount":1').replace(b"SOURCE", parties[0].encode()).replace(
        b"DESTINATION", parties[1].encode()
    )  # fmt: skip
    before = api.size()
    answer = client.post("/v1/transfers", content=content, headers={**JSON, "Idempotency-Key": uuid.uuid4().hex})
    assert answer.status_code == 201
    assert api.size() != before


KEYS: list[tuple[str, dict[str, str | bytes], str]] = [
    ("no key", {}, "idempotency_key_missing"),
    ("an empty key", {"Idempotency-Key": ""}, "idempotency_key_missing"),
    ("a key of 256 characters", {"Idempotency-Key": "k" * 256}, "idempotency_key_invalid"),
    ("a key with a tab", {"Idempotency-Key": "a\tb"}, "idempotency_key_invalid"),
    ("a key that is not ASCII", {"Idempotency-Key": "clé".encode("latin-1")}, "idempotency_key_invalid"),
]


@pytest.mark.parametrize(("what", "headers", "code"), KEYS, ids=[row[0] for row in KEYS])
@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/transfers", "/v1/transactions", "/v1/holds"])
def test_a_post_without_a_proper_key_is_refused(
    api: Api, client: httpx.Client, parties: tuple[str, str], path: str, what: str, headers: Any, code: str
) -> None:
    source, destination = parties
    bodies: dict[str, dict[str, Any]] = {
        "/v1/accounts": {"currency": "EUR"},
        "/v1/transfers": {"source": source, "destination": destination, "amount": 1},
        "/v1/transactions": {
            "entries": [{"account_id": source, "amount": -1}, {"account_id": destination, "amount": 1}]
        },
        "/v1/holds": {"account_id": source, "amount": 1},
    }
    before = api.size()
    assert_refused(client.post(path, json=bodies[path], headers=headers), 400, code)
    assert api.size() == before


def test_a_key_of_255_characters_is_accepted(ledger: Ledger) -> None:
    assert ledger.post("/v1/accounts", {"currency": "EUR"}, key=uuid.uuid4().hex + "k" * 223).status_code == 201


def test_a_key_used_for_another_body_is_refused(api: Api, ledger: Ledger, parties: tuple[str, str]) -> None:
    transfer = {"source": parties[0], "destination": parties[1], "amount": 1}
    key = uuid.uuid4().hex
    assert ledger.post("/v1/transfers", transfer, key=key).status_code == 201
    before = api.size()
    assert_refused(ledger.post("/v1/transfers", {**transfer, "amount": 2}, key=key), 422, "idempotency_key_reused")
    assert api.size() == before


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
def test_a_body_that_is_not_declared_as_json_is_refused(api: Api, client: httpx.Client, media: str) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": media}
    before = api.size()
    answer = client.post("/v1/accounts", content=b'{"currency":"EUR"}', headers=headers)
    assert_refused(answer, 415, "unsupported_media_type")
    assert api.size() == before


def test_json_with_a_charset_of_utf_8_is_accepted(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/json; charset=UTF-8"}
    assert client.post("/v1/accounts", content=b'{"currency":"EUR"}', headers=headers).status_code == 201


def test_a_body_over_the_limit_is_refused_by_its_declared_length(api: Api, client: httpx.Client) -> None:
    before = api.size()
    answer = client.post("/v1/accounts", content=b" " * ((1 << 20) + 1), headers={**JSON, "Idempotency-Key": "big"})
    assert_refused(answer, 413, "body_too_large")
    assert api.size() == before


def test_a_body_over_the_limit_is_refused_while_it_streams_in(api: Api, client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"currency":"EUR","metadata":{"a":"'
        for _ in range(40):
            yield b"x" * 65_536
        yield b'"}}'

    before = api.size()
    answer = client.post("/v1/accounts", content=pieces(), headers={**JSON, "Idempotency-Key": "chunked"})
    assert_refused(answer, 413, "body_too_large")
    assert api.size() == before


def test_a_small_body_in_pieces_is_accepted(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"currency":'
        yield b'"EUR"}'

    headers = {**JSON, "Idempotency-Key": uuid.uuid4().hex}
    assert client.post("/v1/accounts", content=pieces(), headers=headers).status_code == 201


QUERIES: list[tuple[str, str, str | None]] = [
    ("/v1/accounts?limit=0", "validation_failed", "limit"),
    ("/v1/accounts?limit=1001", "validation_failed", "limit"),
    ("/v1/accounts?limit=ten", "validation_failed", "limit"),
    ("/v1/accounts?limit=%D9%A1", "validation_failed", "limit"),
    ("/v1/accounts?limit=1&limit=2", "validation_failed", "limit"),
    ("/v1/accounts?cursor=nonsense", "invalid_cursor", "cursor"),
    ("/v1/accounts?cursor=%00", "validation_failed", "cursor"),
    ("/v1/accounts?status=asleep", "validation_failed", "status"),
    ("/v1/accounts?currency=eur", "validation_failed", "currency"),
    ("/v1/accounts?colour=red", "validation_failed", "colour"),
    ("/v1/accounts/not-a-uuid", "validation_failed", "account_id"),
    ("/v1/accounts/%7B%7BDIGITS%7D%7D", "validation_failed", "account_id"),
    ("/v1/accounts/DIGITS----", "validation_failed", "account_id"),
    ("/v1/views/balances?account_id=%7BACCOUNT%7D", "validation_failed", "account_id"),
    ("/v1/views/balances?account_id=urn:uuid:ACCOUNT", "validation_failed", "account_id"),
    ("/v1/views/balances?account_id=DIGITS", "validation_failed", "account_id"),
    ("/v1/views/balances?account_id=ACCOUNT&currency=EUR", "validation_failed", "currency"),
    ("/v1/views/balances?account_id=ACCOUNT&limit=1", "validation_failed", "limit"),
    ("/v1/views/balances?account_id=ACCOUNT&cursor=CURSOR", "validation_failed", "cursor"),
    ("/v1/views/balances?currency=eur", "validation_failed", "currency"),
    ("/v1/views/balances?min_version=1", "validation_failed", "min_version"),
    ("/v1/accounts/ACCOUNT/entries?from=yesterday", "validation_failed", "from"),
    ("/v1/accounts/ACCOUNT/entries?to=2026-01-01T00:00:00", "validation_failed", "to"),
    ("/v1/accounts/ACCOUNT/entries?cursor=MA", "invalid_cursor", "cursor"),
    ("/v1/accounts/ACCOUNT/balance?at=0001-01-01T00:00:00%2B14:00", "validation_failed", "at"),
]


@pytest.mark.parametrize(("url", "code", "field"), QUERIES, ids=[row[0] for row in QUERIES])
def test_a_bad_parameter_is_refused_by_name(
    client: httpx.Client, parties: tuple[str, str], url: str, code: str, field: str | None
) -> None:
    account = parties[0]
    cursor = base64.urlsafe_b64encode(account.encode()).decode()
    for word, value in (("ACCOUNT", account), ("DIGITS", account.replace("-", "")), ("CURSOR", cursor)):
        url = url.replace(word, value)
    assert_refused(client.get(url), 422, code, field)


@pytest.mark.parametrize("query", ["currency=%FF", "&".join(["limit=1"] * 51)], ids=["not UTF-8", "51 parameters"])
def test_a_query_that_cannot_be_read_is_refused_as_documented(client: httpx.Client, query: str) -> None:
    assert_refused(client.get(f"/v1/accounts?{query}"), 400, "malformed_request")
    assert "400" in document()["paths"]["/v1/accounts"]["get"]["responses"]


def test_a_misspelt_dry_run_is_refused_rather_than_posted(api: Api, ledger: Ledger, parties: tuple[str, str]) -> None:
    transfer = {"source": parties[0], "destination": parties[1], "amount": 1}
    before = api.size()
    for query in ("dryrun=true", "dry_run=yes", "dry_run=true&dry_run=false"):
        answer = ledger.post(f"/v1/transfers?{query}", transfer)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert api.size() == before


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/v1/accounts/{UNKNOWN}", "account_not_found"),
        (f"/v1/accounts/{UNKNOWN}/entries", "account_not_found"),
        (f"/v1/accounts/{UNKNOWN}/balance", "account_not_found"),
        (f"/v1/accounts/{UNKNOWN}/balance?at=2026-01-01T00:00:00Z", "account_not_found"),
        (f"/v1/transactions/{UNKNOWN}", "transaction_not_found"),
        (f"/v1/holds/{UNKNOWN}", "hold_not_found"),
        ("/v1/nothing", "not_found"),
        ("/v1/accounts/", "not_found"),
    ],
)
def test_what_does_not_exist_is_not_found(client: httpx.Client, path: str, code: str) -> None:
    assert_refused(client.get(path), 404, code)


def test_a_wrong_method_is_told_which_ones_there_are(client: httpx.Client, parties: tuple[str, str]) -> None:
    answer = client.delete(f"/v1/accounts/{parties[0]}")
    assert_refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, PATCH"


def test_an_unbalanced_journal_is_refused_with_its_sum(api: Api, ledger: Ledger, parties: tuple[str, str]) -> None:
    before = api.size()
    entries = [{"account_id": parties[0], "amount": -2}, {"account_id": parties[1], "amount": 1}]
    answer = ledger.post("/v1/transactions", {"entries": entries})
    assert_refused(answer, 422, "unbalanced")
    assert answer.json()["sum"] == -1
    assert api.size() == before
