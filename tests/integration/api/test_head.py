"""HEAD is GET without the body, wherever there is a GET."""

from __future__ import annotations

import httpx
import pytest

from chronicle_ledger.api.app import operations
from support.api_process import Ledger

GETS = [operation.path for operation in operations() if operation.method == "GET" and operation.path != "/v1/proof"]
VARY = {"date", "x-request-id", "content-length", "retry-after"}
"""Of two answers; /metrics and a balance differ in length from one moment to the next."""


@pytest.mark.parametrize("path", [*GETS, "/docs", "/openapi.json", "/v1/nothing"])
def test_head_answers_as_get_does_without_a_body(client: httpx.Client, path: str) -> None:
    ledger = Ledger(client)
    account = ledger.open(10)
    hold = ledger.post("/v1/holds", {"account_id": account, "amount": 1}).json()["id"]
    url = path.format(account_id=account, hold_id=hold, transaction_id=hold)
    head, get = client.head(url), client.get(url)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert {name: value for name, value in head.headers.items() if name not in VARY} == {
        name: value for name, value in get.headers.items() if name not in VARY
    }
    assert int(head.headers["content-length"]) > 0


def test_a_wrong_method_is_told_of_head_where_there_is_a_get(client: httpx.Client) -> None:
    account = Ledger(client).open()
    assert client.delete(f"/v1/accounts/{account}").headers["allow"] == "GET, HEAD, PATCH"
    assert client.head("/v1/transfers").status_code == 405
    assert client.get("/v1/transfers").headers["allow"] == "POST"
