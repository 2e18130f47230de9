"""What can be done with an answer: OpenAPI links, which stateful tests and generated clients follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Links = Mapping[str, Mapping[str, Any]]


def _link(operation: str, parameter: str, expression: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    link: dict[str, Any] = {"operationId": operation, "parameters": {parameter: expression}}
    if body is not None:
        link["requestBody"] = dict(body)
    return link


OF_ACCOUNT: Final[Links] = {
    "read": _link("getAccount", "account_id", "$response.body#/id"),
    "entries": _link("listEntries", "account_id", "$response.body#/id"),
    "balance": _link("getBalance", "account_id", "$response.body#/id"),
    "deposit": _link("createDeposit", "account_id", "$response.body#/id"),
    "withdraw": _link("createWithdrawal", "account_id", "$response.body#/id"),
    "update": _link("updateAccount", "account_id", "$response.body#/id"),
    "hold": {"operationId": "createHold", "requestBody": {"account_id": "$response.body#/id", "amount": 1}},
}
OF_TRANSACTION: Final[Links] = {
    "read": _link("getTransaction", "transaction_id", "$response.body#/id"),
    "reverse": _link("reverseTransaction", "transaction_id", "$response.body#/id"),
}
OF_HOLD: Final[Links] = {
    "read": _link("getHold", "hold_id", "$response.body#/id"),
    "capture": _link("captureHold", "hold_id", "$response.body#/id"),
    "release": _link("releaseHold", "hold_id", "$response.body#/id"),
}
