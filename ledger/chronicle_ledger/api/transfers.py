"""Moving money between two accounts, and in from and out to the world outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from chronicle_ledger.api import examples, links, posting
from chronicle_ledger.api.schemas import CashRequest, TransferRequest
from chronicle_ledger.domain.commands import Command, Leg, PostEntries
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.web.bodies import Body
from chronicle_ledger.web.call import Call
from chronicle_ledger.web.idempotency import Identity
from chronicle_ledger.web.parameters import IF_MATCH, path_uuid

TRANSFER: Final = Body(TransferRequest)
CASH: Final = Body(CashRequest)


def transfer(identity: Identity, body: TransferRequest, version: int | None) -> PostEntries:
    """Return the command of a transfer from a source at `version`. Raises Problem for metadata that cannot be kept."""
    return PostEntries(
        **posting.common(identity, body),
        expected_versions=_expected(body.source, version),
        kind=TransactionKind.TRANSFER,
        legs=(Leg(body.source, -body.amount, body.currency), Leg(body.destination, body.amount, body.currency)),
    )


def cash(
    kind: TransactionKind, account: UUID, identity: Identity, body: CashRequest, version: int | None
) -> PostEntries:
    """Return the command of a deposit or withdrawal. The ledger adds the side of the outside world."""
    amount = body.amount if kind is TransactionKind.DEPOSIT else -body.amount
    return PostEntries(
        **posting.common(identity, body),
        expected_versions=_expected(account, version),
        kind=kind,
        legs=(Leg(account, amount, body.currency),),
    )


def _expected(account: UUID, version: int | None) -> Mapping[UUID, int]:
    return {} if version is None else {account: version}


@posting.posts(
    "/v1/transfers",
    id="createTransfer",
    summary="Move money between two accounts",
    body=TRANSFER,
    parameters=(IF_MATCH,),
    problems=posting.MONEY_PROBLEMS,
    links=links.OF_TRANSACTION,
    example=examples.TRANSFER,
)
def create_transfer(call: Call[TransferRequest], identity: Identity) -> Command:
    """Both accounts change together or not at all. `expected_version` and If-Match are the version of `source`."""
    return transfer(identity, call.body, posting.expected_version(call, call.body.expected_version))


def _cash(kind: TransactionKind, call: Call[CashRequest], identity: Identity) -> Command:
    return cash(kind, call.id, identity, call.body, posting.expected_version(call, call.body.expected_version))


@posting.posts(
    "/v1/accounts/{account_id}/deposits",
    id="createDeposit",
    summary="Take money in from outside the ledger",
    body=CASH,
    parameters=(path_uuid("account_id", "an account"), IF_MATCH),
    problems=posting.MONEY_PROBLEMS,
    links=links.OF_TRANSACTION,
    example=examples.CASH,
)
def create_deposit(call: Call[CashRequest], identity: Identity) -> Command:
    """The other side is one of the currency's outside-world accounts, whose balances show what is owed in all."""
    return _cash(TransactionKind.DEPOSIT, call, identity)


@posting.posts(
    "/v1/accounts/{account_id}/withdrawals",
    id="createWithdrawal",
    summary="Pay money out of the ledger",
    body=CASH,
    parameters=(path_uuid("account_id", "an account"), IF_MATCH),
    problems=posting.MONEY_PROBLEMS,
    links=links.OF_TRANSACTION,
    example=examples.CASH,
)
def create_withdrawal(call: Call[CashRequest], identity: Identity) -> Command:
    """Refused with `insufficient_funds` where it would take the account under its floor."""
    return _cash(TransactionKind.WITHDRAWAL, call, identity)


OPERATIONS = (create_transfer, create_deposit, create_withdrawal)
