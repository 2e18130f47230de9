"""The Python client against a real API: an answer that is lost posts once, and the examples of its page run."""

from __future__ import annotations

import re
import runpy
import uuid
from pathlib import Path

import httpx
import pytest

from chronicle_client import (
    AsyncClient,
    Client,
    Money,
    Refused,
    accounts,
    deposit,
    get_account,
    get_health,
    get_transaction,
    history,
    open_account,
    withdrawal,
)
from support.api_process import Api

EXAMPLES = Path(__file__).parents[3] / "docs" / "client.md"


class Losing(httpx.HTTPTransport):
    """Carries each request to the API; loses the answer of the first that posts."""

    lost: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and not self.lost:
            answer.read()
            self.lost += 1
            raise httpx.ReadError("the answer was lost", request=request)
        return answer


class LosingAsync(httpx.AsyncHTTPTransport):
    """The same for asyncio."""

    lost: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if request.method == "POST" and not self.lost:
            await answer.aread()
            self.lost += 1
            raise httpx.ReadError("the answer was lost", request=request)
        return answer


def opened(api: Api) -> uuid.UUID:
    """Open an account of 100 minor units; return its id."""
    with Client(api.url) as client:
        account = client.send(open_account("EUR"))
        client.send(deposit(account.id, Money(100, "EUR")))
    return account.id


def test_an_answer_that_is_lost_after_the_commit_is_one_posting(api: Api) -> None:
    account = opened(api)
    transport = Losing()
    with Client(api.url, transport=transport) as client:
        posted = client.send(withdrawal(account, Money(30, "EUR")))
        assert transport.lost == 1
        assert client.send(get_account(account)).balance == 70
        assert [it.amount for it in client.iterate(history(account))].count(-30) == 1
        assert client.send(get_transaction(posted.id)) == posted


async def test_the_same_holds_for_asyncio(api: Api) -> None:
    account = opened(api)
    transport = LosingAsync()
    async with AsyncClient(api.url, transport=transport) as client:
        await client.send(withdrawal(account, Money(30, "EUR")))
        assert transport.lost == 1
        assert (await client.send(get_account(account))).balance == 70
        assert [it.amount async for it in client.iterate(history(account))].count(-30) == 1


def test_a_refusal_of_the_real_api_has_its_class_and_its_figures(api: Api) -> None:
    account = opened(api)
    with Client(api.url) as client, pytest.raises(Refused) as told:
        client.send(withdrawal(account, Money(101, "EUR")))
    assert told.value.code == "insufficient_funds"
    assert told.value.extras["available"] == 100


def test_a_withdrawal_of_all_that_is_repeated_after_a_lost_answer_is_not_told_as_a_refusal(api: Api) -> None:
    account = opened(api)
    with Client(api.url, transport=Losing()) as client:
        posted = client.send(withdrawal(account, Money(100, "EUR")))
        with pytest.raises(Refused) as told:
            client.send(withdrawal(account, Money(1, "EUR")))
    assert posted.entries[0].balance_after == 0 or posted.entries[1].balance_after == 0
    assert not told.value.outcome_unknown


def test_pages_of_the_real_api_hold_each_account_once(api: Api) -> None:
    currency = f"T{uuid.uuid4().hex[:8].upper()}"
    with Client(api.url) as client:
        made = [client.send(open_account(currency)).id for _ in range(5)]
        listed = [it.id for it in client.iterate(accounts(currency=currency, kind="customer", limit=2))]
        assert client.send(get_health()).status in ("ok", "degraded")
    assert sorted(listed) == sorted(made)


def test_the_examples_of_the_page_run_in_order_on_a_real_api(api: Api, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", EXAMPLES.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    program = tmp_path / "examples.py"
    program.write_text("\n".join(blocks).replace("http://127.0.0.1:8080", api.url), encoding="utf-8")
    scope = runpy.run_path(str(program))
    with Client(api.url) as client:
        assert client.send(get_account(scope["bob"].id)).balance == 250 + 100
