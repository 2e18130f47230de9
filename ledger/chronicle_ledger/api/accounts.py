"""Accounts: open, read, list, change what is not money."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid4, uuid5

from msgspec import UnsetType

from chronicle_ledger.api import answers, cursors, examples, links, posting, preconditions
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import Body, check_metadata
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import HEADER, identify
from chronicle_ledger.api.operation import operation
from chronicle_ledger.api.parameters import (
    CURRENCY,
    CURSOR,
    DRY_RUN,
    IF_MATCH,
    LIMIT,
    OPTIONAL_KEY,
    Parameter,
    Query,
    invalid,
    path_id,
    path_uuid,
)
from chronicle_ledger.api.schemas import OpenAccountRequest, UpdateAccountRequest
from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.commands import UNSET, OpenAccount, UpdateAccount
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.store import reads

OPEN: Final = Body(OpenAccountRequest)
UPDATE: Final = Body(UpdateAccountRequest)

ETAG: Final = {"ETag": 'The account\'s version as a strong entity tag, such as "7".'}


@posting.posts(
    "/v1/accounts",
    id="openAccount",
    tag="accounts",
    summary="Open an account",
    answer=answers.AccountAnswer,
    body=OPEN,
    problems=(*posting.PROBLEMS, "account_exists", "insufficient_funds"),
    answer_headers=ETAG,
    links=links.OF_ACCOUNT,
    example=examples.OPEN_ACCOUNT,
)
async def open_account(call: Call) -> Answer:
    """An account starts empty, at version 1. `floor` is its lowest balance: 0 unless said otherwise, null for none.

    A floor below 0 or null is credit, which needs the role admin. Without `id`, the idempotency key decides the id.
    """
    body: OpenAccountRequest = await OPEN.read(call)
    check_metadata(body.metadata)
    if body.floor is None or body.floor < 0:
        call.principal.require(Role.ADMIN)
    if body.id is not None and body.id.version == 5:
        raise invalid("id", "UUIDs of version 5 are the ledger's own; use version 4 or 7")
    identity, fingerprint = identify(call, "/v1/accounts", body)
    command = OpenAccount(
        id=identity,
        fingerprint=fingerprint,
        account_id=body.id or uuid5(identity, "account"),
        currency=body.currency,
        floor=body.floor,
        metadata=body.metadata,
    )
    posted, status, headers = await posting.post(call, command)
    return Answer(status, _opened(posted.transaction), {**headers, "etag": preconditions.etag(1)})


def _opened(transaction: Transaction) -> answers.AccountAnswer:
    """The account as it was when it was opened, so that a replay answers what the first request answered."""
    details = transaction.details
    return answers.AccountAnswer(
        id=UUID(details["account_id"]),
        currency=details["currency"],
        kind=AccountKind(details["kind"]),
        balance=0,
        held=0,
        available=0,
        floor=details["floor"],
        version=1,
        status=AccountStatus(details["status"]),
        metadata=details["metadata"],
        created_at=timestamp(transaction.posted_at),
        updated_at=timestamp(transaction.posted_at),
    )


@operation(
    "GET",
    "/v1/accounts/{account_id}",
    id="getAccount",
    tag="accounts",
    summary="Read an account",
    role=Role.READER,
    answer=answers.AccountAnswer,
    parameters=(
        path_uuid("account_id", "the account"),
        Parameter("If-None-Match", "header", {"type": "string"}, "304 without a body while the version is this."),
    ),
    problems=("account_not_found", "validation_failed"),
    answer_headers=ETAG,
)
async def get_account(call: Call) -> Answer:
    """A strong read: it shows every posting that was answered before it was asked."""
    account_id = path_id(call, "account_id")
    Query(call)
    account = await reads.get_account(call.service.database, account_id)
    headers = {"etag": preconditions.etag(account.version)}
    if preconditions.unchanged(call, account.version):
        return Answer(304, b"", headers)
    return Answer(200, answers.account(account), headers)


@operation(
    "PATCH",
    "/v1/accounts/{account_id}",
    id="updateAccount",
    tag="accounts",
    summary="Change an account's status, floor or metadata",
    role=Role.ADMIN,
    answer=answers.AccountAnswer,
    body=UPDATE,
    parameters=(path_uuid("account_id", "the account"), IF_MATCH, OPTIONAL_KEY, DRY_RUN),
    problems=(
        "account_not_found",
        "account_closed",
        "account_not_empty",
        "insufficient_funds",
        "version_conflict",
        "precondition_failed",
        "invalid_precondition",
        "idempotency_key_invalid",
        "idempotency_key_reused",
        "request_in_progress",
    ),
    answer_headers=ETAG,
    example=examples.UPDATE_ACCOUNT,
)
async def update_account(call: Call) -> Answer:
    """What is left out stays as it is. A closed account stays closed; only an empty one can be closed.

    The answer is the account after the change, read again. With `dry_run=true` it is the account as it is.
    """
    account_id = path_id(call, "account_id")
    body: UpdateAccountRequest = await UPDATE.read(call)
    if all(isinstance(member, UnsetType) for member in (body.status, body.floor, body.metadata)):
        raise invalid("body", "give at least one of status, floor, metadata")
    if not isinstance(body.metadata, UnsetType):
        check_metadata(body.metadata)
    identity, fingerprint = uuid4(), b"\x00" * 32
    if call.header(HEADER):
        identity, fingerprint = identify(call, f"/v1/accounts/{account_id}", body)
    version = posting.expected_version(
        call, None if isinstance(body.expected_version, UnsetType) else body.expected_version
    )
    command = UpdateAccount(
        id=identity,
        fingerprint=fingerprint,
        account_id=account_id,
        status=UNSET if isinstance(body.status, UnsetType) else AccountStatus(body.status),
        floor=UNSET if isinstance(body.floor, UnsetType) else body.floor,
        account_metadata=UNSET if isinstance(body.metadata, UnsetType) else body.metadata,
        expected_versions={} if version is None else {account_id: version},
    )
    _, _, headers = await posting.post(call, command)
    account = await reads.get_account(call.service.database, account_id)
    return Answer(200, answers.account(account), {**headers, "etag": preconditions.etag(account.version)})


@operation(
    "GET",
    "/v1/accounts",
    id="listAccounts",
    tag="accounts",
    summary="List accounts",
    role=Role.READER,
    answer=answers.AccountPage,
    parameters=(
        CURSOR,
        LIMIT,
        CURRENCY,
        Parameter("status", "query", {"type": "string", "enum": list(AccountStatus)}, "Only this status."),
        Parameter("kind", "query", {"type": "string", "enum": list(AccountKind)}, "Only this kind."),
    ),
    problems=("validation_failed", "invalid_cursor"),
)
async def list_accounts(call: Call) -> Answer:
    """In order of id. Accounts of kind `system` stand for the world outside the ledger."""
    query = Query(call, "cursor", "limit", "currency", "status", "kind")
    page = await reads.list_accounts(
        call.service.database,
        cursor=cursors.decode(query.text("cursor"), UUID),
        limit=query.limit(),
        currency=query.currency(),
        status=query.choice("status", AccountStatus),
        kind=query.choice("kind", AccountKind),
    )
    return Answer(
        200,
        answers.AccountPage([answers.account(account) for account in page.items], cursors.following(page.next_cursor)),
    )


OPERATIONS = (open_account, get_account, update_account, list_accounts)
