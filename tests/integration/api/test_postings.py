"""Postings over HTTP: each is written once, and reads show it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from support.api_process import Api, Ledger, until


def test_a_transfer_moves_money_and_shows_in_both_histories(client: httpx.Client, ledger: Ledger) -> None:
    source, destination = ledger.open(100), ledger.open()
    posted = ledger.post("/v1/transfers", {"source": source, "destination": destination, "amount": 30})
    assert posted.status_code == 201
    transaction = posted.json()
    assert (ledger.balance(source), ledger.balance(destination)) == (70, 30)
    assert sum(entry["amount"] for entry in transaction["entries"]) == 0
    assert client.get(f"/v1/transactions/{transaction['id']}").json() == transaction
    history = client.get(f"/v1/accounts/{destination}/entries").json()["entries"]
    assert [entry["version"] for entry in history] == [1, 2]
    assert history[-1]["transaction_id"] == transaction["id"]


def test_a_replay_answers_what_the_first_request_answered(ledger: Ledger) -> None:
    source, destination = ledger.open(100), ledger.open()
    transfer = {"source": source, "destination": destination, "amount": 30}
    first = ledger.post("/v1/transfers", transfer, key="replay-" + source)
    again = ledger.post("/v1/transfers", transfer, key="replay-" + source)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert ledger.balance(source) == 70


def test_the_order_of_members_and_the_spelling_of_ids_make_no_other_request(ledger: Ledger) -> None:
    account = ledger.open()
    first = ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 5, "metadata": {"a": 1, "b": 2}}, key=account)
    again = ledger.post(
        f"/v1/accounts/{account.upper()}/deposits", {"metadata": {"b": 2, "a": 1}, "amount": 5}, key=account
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()


def test_a_replayed_opening_answers_the_account_as_it_was_opened(ledger: Ledger) -> None:
    key = uuid.uuid4().hex
    first = ledger.post("/v1/accounts", {"currency": "EUR"}, key=key)
    ledger.post(f"/v1/accounts/{first.json()['id']}/deposits", {"amount": 5})
    assert ledger.post("/v1/accounts", {"currency": "EUR"}, key=key).json() == first.json()


@pytest.mark.parametrize("end", ["capture", "release"])
def test_a_replayed_hold_answers_the_hold_as_it_was_placed_whatever_became_of_it(ledger: Ledger, end: str) -> None:
    body = {"account_id": ledger.open(100), "amount": 60, "destination_id": ledger.open(), "expires_in": 3600}
    key = uuid.uuid4().hex
    first = ledger.post("/v1/holds", body, key=key)
    assert ledger.post(f"/v1/holds/{first.json()['id']}/{end}").status_code == 201
    again = ledger.post("/v1/holds", body, key=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert again.json()["state"] == "pending"


def test_two_hundred_requests_with_one_key_post_once(api: Api, ledger: Ledger) -> None:
    account = ledger.open()
    with api.client(limits=httpx.Limits(max_connections=50)) as client, ThreadPoolExecutor(50) as threads:

        def deposit(_: int) -> httpx.Response:
            return client.post(
                f"/v1/accounts/{account}/deposits", json={"amount": 7}, headers={"Idempotency-Key": f"once-{account}"}
            )

        answers = list(threads.map(deposit, range(200)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert ledger.balance(account) == 7


def test_of_a_hundred_withdrawals_of_ten_from_a_hundred_ten_succeed(api: Api, ledger: Ledger) -> None:
    account = ledger.open(100)
    with api.client(limits=httpx.Limits(max_connections=50)) as client, ThreadPoolExecutor(50) as threads:

        def withdraw(number: int) -> httpx.Response:
            key = {"Idempotency-Key": f"withdraw-{account}-{number}"}
            return client.post(f"/v1/accounts/{account}/withdrawals", json={"amount": 10}, headers=key)

        answers = list(threads.map(withdraw, range(100)))
    codes = [answer.json().get("code", "posted") for answer in answers]
    assert (codes.count("posted"), codes.count("insufficient_funds")) == (10, 90)
    assert ledger.balance(account) == 0


@pytest.mark.parametrize(
    "path", ["transfers", "deposits", "withdrawals", "journal", "hold", "account", "batch", "patch"]
)
def test_a_dry_run_answers_like_a_posting_and_writes_nothing(api: Api, ledger: Ledger, path: str) -> None:
    source, destination = ledger.open(100), ledger.open()
    entries = [{"account_id": source, "amount": -1}, {"account_id": destination, "amount": 1}]
    item = {"type": "deposit", "idempotency_key": uuid.uuid4().hex, "account_id": source, "amount": 1}
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "transfers": ("/v1/transfers", {"source": source, "destination": destination, "amount": 1}),
        "deposits": (f"/v1/accounts/{source}/deposits", {"amount": 1}),
        "withdrawals": (f"/v1/accounts/{source}/withdrawals", {"amount": 1}),
        "journal": ("/v1/transactions", {"entries": entries}),
        "hold": ("/v1/holds", {"account_id": source, "amount": 1}),
        "account": ("/v1/accounts", {"currency": "EUR"}),
        "batch": ("/v1/transactions:batch", {"atomic": True, "transactions": [item]}),
        "patch": (f"/v1/accounts/{source}", {"status": "frozen"}),
    }
    url, body = requests[path]
    before = api.size()
    method = "PATCH" if path == "patch" else "POST"
    answer = ledger.client.request(method, f"{url}?dry_run=true", json=body)
    assert answer.status_code == 200, answer.text
    assert api.size() == before
    assert ledger.client.get(f"/v1/accounts/{source}").json()["status"] == "open"


def test_a_dry_run_refuses_what_a_posting_would(ledger: Ledger) -> None:
    account = ledger.open(5)
    answer = ledger.client.post(f"/v1/accounts/{account}/withdrawals?dry_run=true", json={"amount": 6})
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_funds")


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(
    ("third_amount", "to_itself", "refused", "code"),
    [(29, False, None, None), (30, False, 3, "insufficient_funds"), (31, False, 2, "insufficient_funds"),
     (1, True, 2, "duplicate_account")],
    ids=["nothing is refused", "the fourth is", "the third is", "the third is, whatever the ledger holds"],
)  # fmt: skip
def test_a_batchs_dry_run_says_what_the_batch_then_does(
    api: Api, ledger: Ledger, third_amount: int, refused: int | None, code: str | None, *, atomic: bool, to_itself: bool
) -> None:
    first, second, third = ledger.open(20), ledger.open(), ledger.open()
    to = second if to_itself else third
    items = [
        {"type": "deposit", "idempotency_key": f"a-{first}", "account_id": first, "amount": 10},
        {"type": "transfer", "idempotency_key": f"b-{first}", "source": first, "destination": second, "amount": 30},
        {"type": "transfer", "idempotency_key": f"c-{first}", "source": second, "destination": to,
         "amount": third_amount},
        {"type": "withdrawal", "idempotency_key": f"d-{first}", "account_id": second, "amount": 1},
        {"type": "deposit", "idempotency_key": f"a-{first}", "account_id": first, "amount": 10},
    ]  # fmt: skip
    body = {"atomic": atomic, "transactions": items}
    before = api.size()
    dry = ledger.client.post("/v1/transactions:batch?dry_run=true", json=body)
    assert api.size() == before
    posted = ledger.client.post("/v1/transactions:batch", json=body)
    told, done = ([_outcome(result) for result in answer.json()["results"]] for answer in (dry, posted))
    assert told == done
    status = 200 if not atomic or refused is None else 422 if to_itself else 409
    assert (dry.status_code, posted.status_code) == (status, status)
    assert all(answer.json().get("code") == (code if atomic else None) for answer in (dry, posted))
    others = "batch_aborted" if atomic and refused is not None else None
    assert [outcome[1] for outcome in told] == [code if index == refused else others for index in range(len(items))]
    assert {result["status"] for result in dry.json()["results"] if "transaction" in result} <= {200}


def _outcome(result: dict[str, Any]) -> tuple[Any, ...]:
    """What a dry run and the posting after it have in common: not the times, nor the hashes over them."""
    transaction, problem = result.get("transaction"), result.get("problem") or {}
    return (
        transaction and (transaction["id"], transaction["kind"], transaction["entries"]),
        problem.get("code"),
        (problem.get("detail"), result.get("replayed")),
    )


def test_an_etag_guards_a_change_and_saves_a_transfer_of_what_is_known(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open(10)
    url = f"/v1/accounts/{account}"
    tag = client.get(url).headers["etag"]
    assert tag == '"2"'
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
    stale = client.patch(url, json={"status": "frozen"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    fresh = client.patch(url, json={"status": "frozen"}, headers={"If-Match": tag})
    assert (fresh.status_code, fresh.json()["status"], fresh.headers["etag"]) == (200, "frozen", '"3"')
    refused = ledger.post(f"{url}/deposits", {"amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "account_frozen")
    weak = client.patch(url, json={"status": "open"}, headers={"If-Match": 'W/"3"'})
    assert (weak.status_code, weak.json()["code"]) == (400, "invalid_precondition")


def test_if_match_guards_a_withdrawal_with_412_and_the_body_with_409(ledger: Ledger) -> None:
    url = f"/v1/accounts/{ledger.open(10)}/withdrawals"
    assert ledger.post(url, {"amount": 1}, headers={"If-Match": '"1"'}).status_code == 412
    assert ledger.post(url, {"amount": 1, "expected_version": 1}).json()["code"] == "version_conflict"
    assert ledger.post(url, {"amount": 1}, headers={"If-Match": '"2"'}).status_code == 201
    both = ledger.post(url, {"amount": 1, "expected_version": 3}, headers={"If-Match": '"2"'})
    assert (both.status_code, both.json()["field"]) == (422, "expected_version")


def test_the_version_that_a_change_expects_may_stand_in_its_body_too(client: httpx.Client, ledger: Ledger) -> None:
    url = f"/v1/accounts/{ledger.open(10)}"
    stale = client.patch(url, json={"status": "frozen", "expected_version": 1})
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (409, "version_conflict", 2)
    both = client.patch(url, json={"status": "frozen", "expected_version": 2}, headers={"If-Match": '"1"'})
    assert (both.status_code, both.json()["field"]) == (422, "expected_version")
    nothing = client.patch(url, json={"expected_version": 2})
    assert (nothing.status_code, nothing.json()["field"]) == (422, "body")
    fresh = client.patch(url, json={"status": "frozen", "expected_version": 2})
    assert (fresh.status_code, fresh.json()["version"]) == (200, 3)


def test_a_change_with_an_expected_version_and_a_key_is_made_once(client: httpx.Client, ledger: Ledger) -> None:
    url = f"/v1/accounts/{ledger.open()}"
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    change = {"metadata": {"a": 1}, "expected_version": 1}
    assert client.patch(url, json=change, headers=headers).json()["version"] == 2
    again = client.patch(url, json=change, headers=headers)
    assert (again.status_code, again.json()["version"], again.headers["idempotent-replayed"]) == (200, 2, "true")


def test_the_version_of_an_account_guards_a_hold_on_it(ledger: Ledger) -> None:
    body = {"account_id": ledger.open(10), "amount": 1}
    assert ledger.post("/v1/holds", body, headers={"If-Match": '"1"'}).status_code == 412
    assert ledger.post("/v1/holds", {**body, "expected_version": 1}).json()["code"] == "version_conflict"
    assert ledger.post("/v1/holds", body, headers={"If-Match": '"2"'}).status_code == 201
    both = ledger.post("/v1/holds", {**body, "expected_version": 3}, headers={"If-Match": '"2"'})
    assert (both.status_code, both.json()["field"]) == (422, "expected_version")


def test_an_account_is_closed_only_when_empty_and_then_for_good(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open(1)
    url = f"/v1/accounts/{account}"
    assert client.patch(url, json={"status": "closed"}).json()["code"] == "account_not_empty"
    assert ledger.post(f"{url}/withdrawals", {"amount": 1}).status_code == 201
    assert client.patch(url, json={"status": "closed"}).json()["status"] == "closed"
    assert ledger.post(f"{url}/deposits", {"amount": 1}).json()["code"] == "account_closed"
    assert client.patch(url, json={"status": "open"}).json()["code"] == "account_closed"


def test_a_batch_that_is_not_atomic_answers_for_each_item(ledger: Ledger) -> None:
    rich, poor = ledger.open(100), ledger.open()
    items = [
        {"type": "transfer", "idempotency_key": f"a-{rich}", "source": rich, "destination": poor, "amount": 10},
        {"type": "withdrawal", "idempotency_key": f"b-{rich}", "account_id": poor, "amount": 1000},
        {"type": "deposit", "idempotency_key": f"c-{rich}", "account_id": poor, "amount": 5},
        {"type": "journal", "idempotency_key": f"d-{rich}",
         "entries": [{"account_id": rich, "amount": -1}, {"account_id": poor, "amount": 1}]},
    ]  # fmt: skip
    answer = ledger.client.post("/v1/transactions:batch", json={"atomic": False, "transactions": items})
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 409, 201, 201]
    assert results[1]["problem"]["code"] == "insufficient_funds"
    assert (ledger.balance(rich), ledger.balance(poor)) == (89, 16)
    again = ledger.client.post("/v1/transactions:batch", json={"atomic": False, "transactions": items}).json()
    assert [result.get("replayed", False) for result in again["results"]] == [True, False, True, True]
    assert ledger.balance(poor) == 16


def test_an_atomic_batch_is_posted_whole_or_not_at_all(api: Api, ledger: Ledger) -> None:
    rich, poor = ledger.open(100), ledger.open()
    items = [
        {"type": "transfer", "idempotency_key": f"a-{rich}", "source": rich, "destination": poor, "amount": 10},
        {"type": "withdrawal", "idempotency_key": f"b-{rich}", "account_id": poor, "amount": 1000},
    ]
    before = api.size()
    for query in ("", "?dry_run=true"):
        answer = ledger.client.post(f"/v1/transactions:batch{query}", json={"atomic": True, "transactions": items})
        refused = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, refused["status"], refused["code"]) == (409, 409, "insufficient_funds")
        assert (refused["index"], refused["account_id"], refused["available"]) == (1, poor, 10)
        assert [result["problem"]["code"] for result in refused["results"]] == ["batch_aborted", "insufficient_funds"]
        assert [result["status"] for result in refused["results"]] == [409, 409]
    assert api.size() == before
    items[1]["amount"] = 10
    posted = ledger.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": items}).json()
    assert [result["status"] for result in posted["results"]] == [201, 201]
    assert (ledger.balance(rich), ledger.balance(poor)) == (90, 0)


def test_a_batch_takes_a_thousand_and_refuses_more(api: Api, ledger: Ledger) -> None:
    account = ledger.open()
    items = [
        {"type": "deposit", "idempotency_key": f"{account}-{number}", "account_id": account, "amount": 1}
        for number in range(1001)
    ]
    before = api.size()
    refused = ledger.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": items})
    assert (refused.status_code, refused.json()["field"]) == (422, "transactions")
    assert api.size() == before
    posted = ledger.client.post("/v1/transactions:batch", json={"atomic": True, "transactions": items[:1000]})
    assert {result["status"] for result in posted.json()["results"]} == {201}
    assert ledger.balance(account) == 1000


def test_a_hold_is_captured_in_part_and_the_rest_is_available_again(client: httpx.Client, ledger: Ledger) -> None:
    account, shop = ledger.open(100), ledger.open()
    hold = ledger.post("/v1/holds", {"account_id": account, "amount": 60, "destination_id": shop}).json()
    assert (hold["state"], hold["captured"]) == ("pending", 0)
    assert client.get(f"/v1/accounts/{account}").json()["available"] == 40
    too_much = ledger.post(f"/v1/holds/{hold['id']}/capture", {"amount": 61})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "capture_exceeds_hold")
    captured = ledger.post(f"/v1/holds/{hold['id']}/capture", {"amount": 50}).json()
    assert (captured["state"], captured["captured"]) == ("captured", 50)
    assert (ledger.balance(account), ledger.balance(shop)) == (50, 50)
    assert client.get(f"/v1/accounts/{account}").json()["held"] == 0
    released = ledger.post(f"/v1/holds/{hold['id']}/release")
    assert (released.status_code, released.json()["code"]) == (409, "hold_not_pending")


def test_a_hold_is_released_with_an_empty_body(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open(100)
    hold = ledger.post("/v1/holds", {"account_id": account, "amount": 60}).json()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    released = client.post(f"/v1/holds/{hold['id']}/release", headers=key)
    assert (released.status_code, released.json()["state"]) == (201, "released")
    assert client.get(f"/v1/accounts/{account}").json()["available"] == 100


def test_a_hold_expires_by_itself(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open(100)
    hold = ledger.post("/v1/holds", {"account_id": account, "amount": 60, "expires_in": 1}).json()
    expires_at = datetime.fromisoformat(hold["expires_at"])
    assert expires_at - datetime.fromisoformat(hold["transaction"]["posted_at"]) == timedelta(seconds=1)
    until(lambda: client.get(f"/v1/holds/{hold['id']}").json()["state"] == "expired", "the hold's expiry")
    assert client.get(f"/v1/accounts/{account}").json()["available"] == 100


def test_a_transaction_is_reversed_once(ledger: Ledger) -> None:
    source, destination = ledger.open(100), ledger.open()
    posted = ledger.post("/v1/transfers", {"source": source, "destination": destination, "amount": 30}).json()
    reversal = ledger.post(f"/v1/transactions/{posted['id']}/reversal", {"metadata": {"reason": "twice"}})
    assert (reversal.status_code, reversal.json()["reverses"]) == (201, posted["id"])
    assert (ledger.balance(source), ledger.balance(destination)) == (100, 0)
    again = ledger.post(f"/v1/transactions/{posted['id']}/reversal")
    assert (again.status_code, again.json()["code"]) == (409, "already_reversed")
    hold = ledger.post("/v1/holds", {"account_id": source, "amount": 1}).json()
    refused = ledger.post(f"/v1/transactions/{hold['transaction']['id']}/reversal")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_reversible")


def test_a_balance_in_the_past_stays_what_it_was(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open()
    moments = []
    for amount in (10, 20, 40):
        posted = ledger.post(f"/v1/accounts/{account}/deposits", {"amount": amount})
        moments.append(posted.json()["posted_at"])
    url = f"/v1/accounts/{account}/balance"
    assert [client.get(url, params={"at": moment}).json()["balance"] for moment in moments[:2]] == [10, 30]
    recent = client.get(url, params={"at": moments[2]})
    assert (recent.status_code, recent.json()["code"]) == (409, "moment_too_recent")
    assert client.get(url, params={"at": recent.json()["latest"]}).json()["version"] == 0
    assert client.get(url, params={"at": "2001-01-01T00:00:00Z"}).json()["version"] == 0
    assert client.get(url).json()["balance"] == 70


def test_cursors_walk_through_all_entries_once(client: httpx.Client, ledger: Ledger) -> None:
    account = ledger.open()
    for _ in range(6):
        ledger.post(f"/v1/accounts/{account}/deposits", {"amount": 1})
    seen, cursor = [], None
    while True:
        page = client.get(
            f"/v1/accounts/{account}/entries", params={"limit": 3, **({"cursor": cursor} if cursor else {})}
        ).json()
        assert len(page["entries"]) <= 3, "not more than were asked for"
        seen += [entry["version"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_accounts_are_listed_by_currency_status_and_kind(client: httpx.Client, ledger: Ledger) -> None:
    accounts = {ledger.open(currency="XTS") for _ in range(5)}
    frozen = min(accounts)
    client.patch(f"/v1/accounts/{frozen}", json={"status": "frozen"})
    listed: list[dict[str, Any]] = []
    cursor = None
    while True:
        query: dict[str, str | int] = {
            "currency": "XTS",
            "kind": "customer",
            "limit": 2,
            **({"cursor": cursor} if cursor else {}),
        }
        page = client.get("/v1/accounts", params=query).json()
        listed += page["accounts"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(account["id"] for account in listed) == sorted(accounts)
    only = client.get("/v1/accounts", params={"currency": "XTS", "status": "frozen"}).json()["accounts"]
    assert [account["id"] for account in only] == [frozen]


def test_a_journal_balances_each_currency_by_itself(ledger: Ledger) -> None:
    euros = [ledger.open(50), ledger.open()]
    dollars = [ledger.open(50, currency="USD"), ledger.open(currency="USD")]
    entries = [
        {"account_id": euros[0], "amount": -10, "currency": "EUR"},
        {"account_id": euros[1], "amount": 10},
        {"account_id": dollars[0], "amount": -11},
        {"account_id": dollars[1], "amount": 11, "currency": "USD"},
    ]
    assert ledger.post("/v1/transactions", {"entries": entries}).status_code == 201
    assert [ledger.balance(account) for account in (*euros, *dollars)] == [40, 10, 39, 11]


def test_a_request_id_is_kept_where_it_is_sane_and_made_where_it_is_not(client: httpx.Client) -> None:
    assert client.get("/livez", headers={"X-Request-Id": "order-17"}).headers["x-request-id"] == "order-17"
    made = client.get("/livez", headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"]
    assert len(made) == 32


def test_metrics_count_requests_by_route_and_code(client: httpx.Client, ledger: Ledger) -> None:
    ledger.open(1)
    text = client.get("/metrics").text
    assert 'chronicle_http_requests_total{code="201",method="POST",route="/v1/accounts"}' in text
    assert 'route="/v1/accounts/{account_id}/deposits"' in text
    for name in ("chronicle_posting_batch_size_bucket", "chronicle_database_pool", "chronicle_posting_queue"):
        assert name in text
