"""Moving money between two accounts, and in from and out to the world outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.bodies import Body
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import identify
from chronicle_ledger.api.parameters import IF_MATCH, path_id, path_uuid
from chronicle_ledger.api.schemas import CashRequest, TransferRequest
from chronicle_ledger.domain.commands import Leg, PostEntries
from chronicle_ledger.domain.transaction import TransactionKind

TRANSFER = Body(TransferRequest)
CASH = Body(CashRequest)
Conditional = TypeVar("Conditional", TransferRequest, CashRequest)


def transfer(identity: UUID, fingerprint: bytes, body: TransferRequest) -> PostEntries:
    """The command of a transfer. Raises Problem for metadata that cannot be kept."""
    return PostEntries(
        **posting.common(identity, fingerprint, body),
        expected_versions=_expected(body.source, body.expected_version),
        kind=TransactionKind.TRANSFER,
        legs=(Leg(body.source, -body.amount, body.currency), Leg(body.destination, body.amount, body.currency)),
    )


def _expected(account: UUID, version: int | None) -> Mapping[UUID, int]:
    return {} if version is None else {account: version}


@posting.posts(
    "/v1/transfers",
    id="createTransfer",
    tag="transactions",
    summary="Move money between two accounts",
    answer=answers.TransactionAnswer,
    body=TRANSFER,
    parameters=(IF_MATCH,),
    problems=(*posting.MONEY_PROBLEMS, "precondition_failed", "invalid_precondition"),
    links=links.OF_TRANSACTION,
    example=examples.TRANSFER,
)
async def create_transfer(call: Call) -> Answer:
    """Both accounts change together or not at all. `expected_version` and If-Match are the version of `source`."""
    body: TransferRequest = await TRANSFER.read(call)
    identity, fingerprint = identify(call, "/v1/transfers", body)
    body = _with_version(call, body)
    return await posting.post_transaction(call, transfer(identity, fingerprint, body))


def cash(kind: TransactionKind, account: UUID, identity: UUID, fingerprint: bytes, body: CashRequest) -> PostEntries:
    """The command of a deposit or withdrawal: the side of the outside world is added by the ledger."""
    amount = body.amount if kind is TransactionKind.DEPOSIT else -body.amount
    return PostEntries(
        **posting.common(identity, fingerprint, body),
        expected_versions=_expected(account, body.expected_version),
        kind=kind,
        legs=(Leg(account, amount, body.currency),),
    )


def _with_version(call: Call, body: Conditional) -> Conditional:
    """The body with the version that If-Match gives. Its fingerprint is taken before: the header is no part of it."""
    version = posting.expected_version(call, body.expected_version)
    return body if version == body.expected_version else replace(body, expected_version=version)


async def _cash(call: Call, kind: TransactionKind) -> Answer:
    account = path_id(call, "account_id")
    body: CashRequest = await CASH.read(call)
    identity, fingerprint = identify(call, f"/v1/accounts/{account}/{kind.value}s", body)
    return await posting.post_transaction(call, cash(kind, account, identity, fingerprint, _with_version(call, body)))


@posting.posts(
    "/v1/accounts/{account_id}/deposits",
    id="createDeposit",
    tag="transactions",
    summary="Take money in from outside the ledger",
    answer=answers.TransactionAnswer,
    body=CASH,
    parameters=(path_uuid("account_id", "an account"), IF_MATCH),
    problems=(*posting.MONEY_PROBLEMS, "precondition_failed", "invalid_precondition"),
    links=links.OF_TRANSACTION,
    example=examples.CASH,
)
async def create_deposit(call: Call) -> Answer:
    """The other side is one of the currency's outside-world accounts, whose balances show what is owed in all."""
    return await _cash(call, TransactionKind.DEPOSIT)


@posting.posts(
    "/v1/accounts/{account_id}/withdrawals",
    id="createWithdrawal",
    tag="transactions",
    summary="Pay money out of the ledger",
    answer=answers.TransactionAnswer,
    body=CASH,
    parameters=(path_uuid("account_id", "an account"), IF_MATCH),
    problems=(*posting.MONEY_PROBLEMS, "precondition_failed", "invalid_precondition"),
    links=links.OF_TRANSACTION,
    example=examples.CASH,
)
async def create_withdrawal(call: Call) -> Answer:
    """Refused with `insufficient_funds` where it would take the account under its floor."""
    return await _cash(call, TransactionKind.WITHDRAWAL)


OPERATIONS = (create_transfer, create_deposit, create_withdrawal)
