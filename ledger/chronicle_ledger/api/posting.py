"""What all postings share: how they are declared, a command's common fields, and submitting or previewing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, Final, TypeVar, Unpack

from chronicle_ledger.api import answers
from chronicle_ledger.api.schemas import Posting
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import VersionConflict
from chronicle_ledger.posting.service import Posted
from chronicle_ledger.web import preconditions
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body, check_metadata, moment
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.idempotency import Identity, identify
from chronicle_ledger.web.operation import Described, Operation, operation
from chronicle_ledger.web.parameters import DRY_RUN, IF_MATCH, KEY, Parameter, invalid
from chronicle_ledger.web.problems import Problem

B = TypeVar("B")
Builder = Callable[[Call[B], Identity], Command]

_PARAMETERS: Final = (KEY, DRY_RUN)
_HEADERS: Final[Mapping[str, str]] = {
    "Idempotent-Replayed": "true where the key was posted before; the answer is that of then."
}
PROBLEMS: Final = (
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "request_in_progress",
    "clock_skew",
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


@dataclass(frozen=True, slots=True)
class Shown:
    """What a posting answers: the type, how to make it, and further headers with their documentation."""

    answer: Any
    of: Callable[[Posted], Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    described: Mapping[str, str] = field(default_factory=dict)


TRANSACTION: Final = Shown(answers.TransactionAnswer, lambda posted: answers.transaction(posted.transaction))


def posts(
    path: str,
    *,
    body: Body[B],
    problems: tuple[str, ...],
    parameters: tuple[Parameter, ...] = (),
    tag: str = "transactions",
    shown: Shown = TRANSACTION,
    **described: Unpack[Described],
) -> Callable[[Builder[B]], Operation]:
    """Declare an operation that posts one transaction: for writers, under an idempotency key, dry on request.

    It decorates the function that makes the command of a call, whose path and body are read and whose identity is
    decided. Posting the command and showing what came of it is the same for all.
    """
    if IF_MATCH in parameters:
        problems = (*problems, "precondition_failed", "invalid_precondition")

    def declare(build: Builder[B]) -> Operation:
        @wraps(build)
        async def handle(call: Call[B]) -> Answer:
            identity = identify(call, call.canonical(path))
            posted, status, headers = await post(call, build(call, identity))
            return Answer(status, shown.of(posted), {**shown.headers, **headers} if shown.headers else headers)

        return operation(
            "POST",
            path,
            body=body,
            tag=tag,
            role=Role.WRITER,
            status=201,
            answer=shown.answer,
            answer_headers={**_HEADERS, **shown.described},
            parameters=(*parameters, *_PARAMETERS),
            problems=problems,
            **described,
        )(handle)

    return declare


class Common(Identity):
    """The fields that every command has from its caller, key and body."""

    metadata: Mapping[str, Any]
    effective_at: datetime | None


def common(identity: Identity, body: Posting) -> Common:
    """Return a command's common fields. Raises Problem for metadata that cannot be kept and for years out of range."""
    check_metadata(body.metadata)
    return {
        **identity,
        "metadata": body.metadata,
        "effective_at": moment(body.effective_at),
    }


async def post(call: Call[Any], command: Command) -> tuple[Posted, int, Mapping[str, str]]:
    """Post `command`, or only evaluate it for a dry run; return it with the status and headers of the answer.

    Raises LedgerError, and Problem `precondition_failed` where the version that did not match came from If-Match.
    """
    service = call.service
    try:
        if call.query.flag("dry_run"):
            return await service.posting.preview(command), 200, _DRY
        posted = await service.posting.submit(command, deadline=service.settings.request_deadline)
    except VersionConflict as error:
        asked = preconditions.if_match(call)
        if asked is None or asked != error.figures.get("expected_version"):
            raise
        raise Problem("precondition_failed", error.message, **error.figures) from None
    return posted, 201, _REPLAYED if posted.replayed else _NONE


def expected_version(call: Call[Any], version: int | None) -> int | None:
    """Return the version that the caller expects: `version`, from the body, or If-Match. Raises Problem for two."""
    from_header = preconditions.if_match(call)
    if from_header is not None and version is not None and from_header != version:
        raise invalid("expected_version", "differs from If-Match; give one of them")
    return version if from_header is None else from_header
