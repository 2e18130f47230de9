"""Somebody wrote to the database what no ledger writes: the other rows are answered, and that one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from chronicle_ledger.web.problems import CATALOGUE
from support.api_process import Api, Ledger

ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def api(new_database: Callable[[], str], start_api: Callable[..., Api]) -> Api:
    """An API with a database of its own."""
    return start_api(new_database())


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def change(api: Api, statement: str, *parameters: object) -> None:
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


@pytest.mark.parametrize(
    "damage",
    [
        "metadata = 'nonsense'",
        "metadata = '[1]'",
        "metadata = '{\"a\":' || repeat('[', 20000) || repeat(']', 20000) || '}'",
        "kind = 'nonsense'",
        "created_at = 'infinity'",
        "updated_at = '0044-03-15 00:00:00+00 BC'",
    ],
)
def test_an_account_that_cannot_be_read_is_named_beside_the_others(api: Api, client: httpx.Client, damage: str) -> None:
    ledger = Ledger(client)
    others, damaged = [ledger.open(), ledger.open()], ledger.open()
    change(api, f"UPDATE account SET {damage} WHERE id = %s", damaged)  # noqa: S608
    try:
        cursor, accounts, unreadable = "", [], []
        while True:
            answer = client.get("/v1/accounts", params={"limit": 5, **({"cursor": cursor} if cursor else {})})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            accounts += [account["id"] for account in page["accounts"]]
            unreadable += page.get("unreadable", [])
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert unreadable == [{"code": "row_unreadable", "id": damaged}]
        assert set(others) <= set(accounts)
        assert damaged not in accounts
        alone = client.get(f"/v1/accounts/{damaged}")
        example = CATALOGUE["row_unreadable"]
        assert (alone.status_code, alone.json()["code"]) == (500, "row_unreadable")
        assert alone.json()["detail"] == example.example.replace(str(example.figures["account_id"]), damaged)
    finally:
        change(api, "DELETE FROM account WHERE id = %s", damaged)


def test_an_entry_that_cannot_be_read_is_named_beside_the_others(api: Api, client: httpx.Client) -> None:
    account = Ledger(client).open(100)
    change(api, "UPDATE entry SET posted_at = 'infinity' WHERE account_id = %s AND version = 1", account)
    page = client.get(f"/v1/accounts/{account}/entries")
    assert page.status_code == 200, page.text
    assert [entry["version"] for entry in page.json()["entries"]] == [2]
    assert page.json()["unreadable"] == [{"code": "row_unreadable", "version": 1}]


@pytest.mark.parametrize("damage", ["kind = 'nonsense'", "details = 'x'", "posted_at = 'infinity'"])
def test_a_transaction_that_cannot_be_read_has_a_code_of_its_own(api: Api, client: httpx.Client, damage: str) -> None:
    ledger = Ledger(client)
    posted = ledger.post(f"/v1/accounts/{ledger.open()}/deposits", {"amount": 5}).json()["id"]
    change(api, f"UPDATE txn SET {damage} WHERE id = %s", posted)  # noqa: S608
    answer = client.get(f"/v1/transactions/{posted}")
    assert (answer.status_code, answer.json()["code"]) == (500, "row_unreadable")
    assert answer.json()["transaction_id"] == posted


def test_the_lowest_id_is_in_the_list(api: Api, client: httpx.Client) -> None:
    account = Ledger(client).open()
    change(api, "UPDATE account SET id = %s WHERE id = %s", ZERO, account)
    assert client.get("/v1/accounts", params={"limit": 1}).json()["accounts"][0]["id"] == ZERO
