"""What all posting handlers share: submit or preview a command, and answer with its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chronicle_ledger.api import answers, preconditions
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import is_dry_run
from chronicle_ledger.api.parameters import DRY_RUN, KEY, invalid
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import VersionConflict
from chronicle_ledger.posting.service import Posted

PARAMETERS: Final = (KEY, DRY_RUN)
HEADERS: Final[Mapping[str, str]] = {
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
