"""Accounts: open, read, list, change what is not money."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from msgspec import UnsetType

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.schemas import OpenAccountRequest, UpdateAccountRequest
from chronicle_ledger.domain.account import AccountKind, AccountStatus
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.commands import UNSET, Command, OpenAccount, UpdateAccount
from chronicle_ledger.posting.service import Posted
from chronicle_ledger.store import reads
from chronicle_ledger.web import cursors, preconditions
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body, check_metadata
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.idempotency import HEADER, Identity, anonymous, identify
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import (
    CURRENCY,
    CURSOR,
    DRY_RUN,
    IF_MATCH,
    LIMIT,
    OPTIONAL_KEY,
    Parameter,
    invalid,
    path_uuid,
)

OPEN: Final = Body(OpenAccountRequest)
UPDATE: Final = Body(UpdateAccountRequest)

ETAG: Final = {"ETag": 'The account\'s version as a strong entity tag, such as "7".'}


def _opened(posted: Posted) -> answers.AccountAnswer:
    """Return the account as it was opened, so that a replay answers what the first request answered."""
    transaction = posted.transaction
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


_SHOWN: Final = posting.Shown(answers.AccountAnswer, _opened, {"etag": preconditions.etag(1)}, ETAG)


@posting.posts(
    "/v1/accounts",
    id="openAccount",
    tag="accounts",
    summary="Open an account",
    body=OPEN,
    shown=_SHOWN,
    problems=(*posting.PROBLEMS, "account_exists", "insufficient_funds"),
    links=links.OF_ACCOUNT,
    example=examples.OPEN_ACCOUNT,
)
def open_account(call: Call[OpenAccountRequest], identity: Identity) -> Command:
    """An account starts empty, at version 1. `floor` is its lowest balance: 0 unless said otherwise, null for none.

    A floor below 0 or null is credit, which needs the role admin. Without `id`, the idempotency key decides the id.
    """
    body = call.body
    check_metadata(body.metadata)
    if body.floor is None or body.floor < 0:
        call.principal.require(Role.ADMIN)
    if body.id is not None and body.id.version == 5:
        raise invalid("id", "UUIDs of version 5 are the ledger's own; use version 4 or 7")
    return OpenAccount(
        **identity,
        account_id=body.id or uuid5(identity["id"], "account"),
        currency=body.currency,
        floor=body.floor,
        metadata=body.metadata,
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
    not_modified=True,
)
async def get_account(call: Call[None]) -> Answer:
    """A strong read: it shows every posting that was answered before it was asked."""
    standing = await reads.get_standing(call.service.database, call.id)
    version = standing.account.version
    headers = {"etag": preconditions.etag(version)}
    # When a hold's time comes, what is available changes without a new version, until its expiry makes one.
    if not standing.over and preconditions.unchanged(call, version):
        return Answer(304, b"", headers)
    return Answer(200, answers.account(standing), headers)


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
async def update_account(call: Call[UpdateAccountRequest]) -> Answer:
    """What is left out stays as it is. A closed account stays closed; only an empty one can be closed.

    The answer is the account after the change, read again. With `dry_run=true` it is the account as it is.
    """
    account_id, body = call.id, call.body
    if all(isinstance(member, UnsetType) for member in (body.status, body.floor, body.metadata)):
        raise invalid("body", "give at least one of status, floor, metadata")
    if not isinstance(body.metadata, UnsetType):
        check_metadata(body.metadata)
    identity = identify(call, f"/v1/accounts/{account_id}") if call.header(HEADER) else anonymous(call)
    version = posting.expected_version(
        call, None if isinstance(body.expected_version, UnsetType) else body.expected_version
    )
    command = UpdateAccount(
        **identity,
        account_id=account_id,
        status=UNSET if isinstance(body.status, UnsetType) else AccountStatus(body.status),
        floor=UNSET if isinstance(body.floor, UnsetType) else body.floor,
        account_metadata=UNSET if isinstance(body.metadata, UnsetType) else body.metadata,
        expected_versions={} if version is None else {account_id: version},
    )
    _, _, headers = await posting.post(call, command)
    standing = await reads.get_standing(call.service.database, account_id)
    return Answer(200, answers.account(standing), {**headers, "etag": preconditions.etag(standing.account.version)})


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
async def list_accounts(call: Call[None]) -> Answer:
    """In order of id. Accounts of kind `system` stand for the world outside the ledger."""
    query = call.query
    page = await reads.list_accounts(
        call.service.database,
        cursor=cursors.decode(query.text("cursor"), UUID),
        limit=query.limit(),
        currency=query.currency(),
        status=query.choice("status", AccountStatus),
        kind=query.choice("kind", AccountKind),
    )
    accounts = [answers.account(item) for item in page.items if isinstance(item, reads.Standing)]
    following = cursors.following(page.next_cursor)
    return Answer(200, answers.AccountPage(accounts, following, answers.unreadable(page.items)))


OPERATIONS = (open_account, get_account, update_account, list_accounts)
