"""What all postings share: how they are declared, a command's common fields, and submitting or previewing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from chronicle_ledger.api import answers, preconditions
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import check_metadata, moment
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import is_dry_run
from chronicle_ledger.api.operation import Handler, Operation, operation
from chronicle_ledger.api.parameters import DRY_RUN, KEY, Parameter, invalid
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.api.schemas import Posting
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import VersionConflict
from chronicle_ledger.posting.service import Posted

_PARAMETERS: Final = (KEY, DRY_RUN)
_HEADERS: Final[Mapping[str, str]] = {
    "Idempotent-Replayed": "true where the key was posted before; the answer is that of then."
}
PROBLEMS: Final = (
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "request_in_progress",
)
MONEY_PROBLEMS: Final = (
    *PROBLEMS,
    "account_not_found",
    "insufficient_funds",
    "version_conflict",
    "account_closed",
    "account_frozen",
    "currency_mismatch",
    "duplicate_account",
    "amount_out_of_range",
    "balance_out_of_range",
)

_REPLAYED: Final[Mapping[str, str]] = {"idempotent-replayed": "true"}
_DRY: Final[Mapping[str, str]] = {"dry-run": "true"}
_NONE: Final[Mapping[str, str]] = {}


def posts(
    path: str,
    *,
    parameters: tuple[Parameter, ...] = (),
    answer_headers: Mapping[str, str] = _NONE,
    **declared: Any,
) -> Callable[[Handler], Operation]:
    """Declare an operation that posts one transaction: for writers, under an idempotency key, dry on request.

    `declared` is what else `operation` takes.
    """
    return operation(
        "POST",
        path,
        role=Role.WRITER,
        status=201,
        parameters=(*parameters, *_PARAMETERS),
        answer_headers={**_HEADERS, **answer_headers},
        **declared,
    )


class Common(TypedDict):
    """The fields that every command has from its key and body."""

    id: UUID
    fingerprint: bytes
    metadata: Mapping[str, Any]
    effective_at: datetime | None


def common(identity: UUID, fingerprint: bytes, body: Posting) -> Common:
    """A command's common fields. Raises Problem for metadata that cannot be kept and for years out of range."""
    check_metadata(body.metadata)
    return {
        "id": identity,
        "fingerprint": fingerprint,
        "metadata": body.metadata,
        "effective_at": moment(body.effective_at),
    }


async def post(call: Call, command: Command) -> tuple[Posted, int, Mapping[str, str]]:
    """Post `command`, or only evaluate it for a dry run; return it with the status and headers of the answer.

    Raises LedgerError, and Problem `precondition_failed` where the version that did not match came from If-Match.
    """
    service = call.service
    try:
        if is_dry_run(call):
            return await service.posting.preview(command), 200, _DRY
        posted = await service.posting.submit(command, deadline=service.settings.request_deadline)
    except VersionConflict as error:
        asked = preconditions.if_match(call)
        if asked is None or asked != error.figures.get("expected_version"):
            raise
        raise Problem("precondition_failed", error.message, **error.figures) from None
    return posted, 201, _REPLAYED if posted.replayed else _NONE


async def post_transaction(call: Call, command: Command) -> Answer:
    """Post, and answer with the transaction."""
    posted, status, headers = await post(call, command)
    return Answer(status, answers.transaction(posted.transaction), headers)


def expected_version(call: Call, version: int | None) -> int | None:
    """The version that the caller expects, from the body or If-Match. Raises Problem where the two differ."""
    from_header = preconditions.if_match(call)
    if from_header is not None and version is not None and from_header != version:
        raise invalid("expected_version", "differs from If-Match; give one of them")
    return version if from_header is None else from_header
