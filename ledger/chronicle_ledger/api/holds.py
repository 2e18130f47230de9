"""Holds: money set aside, then captured in part or whole, released by a caller, or expired by its time."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.schemas import CaptureRequest, HoldRequest, PlainRequest
from chronicle_ledger.domain.commands import CaptureHold, Command, PlaceHold, ReleaseHold
from chronicle_ledger.posting.service import Posted
from chronicle_ledger.store import reads
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body, check_metadata
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.idempotency import Identity
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import IF_MATCH, path_uuid

HOLD: Final = Body(HoldRequest)
CAPTURE: Final = Body(CaptureRequest, optional=True)
RELEASE: Final = Body(PlainRequest, optional=True)


def _hold(posted: Posted) -> answers.HoldAnswer:
    if posted.hold is None:
        raise AssertionError(f"posting {posted.transaction.id} brought no hold")
    return answers.hold(posted.hold, posted.transaction)


_SHOWN: Final = posting.Shown(answers.HoldAnswer, _hold)


@posting.posts(
    "/v1/holds",
    id="createHold",
    tag="holds",
    summary="Set money aside",
    shown=_SHOWN,
    body=HOLD,
    parameters=(IF_MATCH,),
    problems=posting.MONEY_PROBLEMS,
    links=links.OF_HOLD,
    example=examples.HOLD,
)
def create_hold(call: Call[HoldRequest], identity: Identity) -> Command:
    """The amount stays in the balance but is no longer available, until the hold ends.

    `expires_in` is in seconds; without it the hold stays until it is captured or released. `expected_version` and
    If-Match are the version of the account.
    """
    body = call.body
    check_metadata(body.metadata)
    version = posting.expected_version(call, body.expected_version)
    return PlaceHold(
        **identity,
        metadata=body.metadata,
        expected_versions={} if version is None else {body.account_id: version},
        account_id=body.account_id,
        amount=body.amount,
        currency=body.currency,
        destination_id=body.destination_id,
        lasts=None if body.expires_in is None else timedelta(seconds=body.expires_in),
    )


@posting.posts(
    "/v1/holds/{hold_id}/capture",
    id="captureHold",
    tag="holds",
    summary="Take a hold, in part or whole",
    shown=_SHOWN,
    body=CAPTURE,
    parameters=(path_uuid("hold_id", "the hold"),),
    problems=(*posting.MONEY_PROBLEMS, "hold_not_found", "hold_not_pending", "capture_exceeds_hold"),
    links={"read": links.OF_HOLD["read"]},
    example=examples.CAPTURE,
)
def capture_hold(call: Call[CaptureRequest], identity: Identity) -> Command:
    """Without `amount`, all of it; what is not captured is available again. The body may be empty.

    The money goes to `destination_id`, else to the hold's destination, else out of the ledger.
    """
    body = call.body
    return CaptureHold(
        **posting.common(identity, body),
        hold_id=call.id,
        amount=body.amount,
        destination_id=body.destination_id,
    )


@posting.posts(
    "/v1/holds/{hold_id}/release",
    id="releaseHold",
    tag="holds",
    summary="Give a hold back",
    shown=_SHOWN,
    body=RELEASE,
    parameters=(path_uuid("hold_id", "the hold"),),
    problems=(*posting.PROBLEMS, "hold_not_found", "hold_not_pending", "account_closed", "account_frozen"),
    links={"read": links.OF_HOLD["read"]},
    example=examples.PLAIN,
)
def release_hold(call: Call[PlainRequest], identity: Identity) -> Command:
    """All of it is available again. The body may be empty."""
    return ReleaseHold(**posting.common(identity, call.body), hold_id=call.id)


@operation(
    "GET",
    "/v1/holds/{hold_id}",
    id="getHold",
    tag="holds",
    summary="Read a hold",
    role=Role.READER,
    answer=answers.HoldAnswer,
    parameters=(path_uuid("hold_id", "the hold"),),
    problems=("hold_not_found", "validation_failed"),
)
async def get_hold(call: Call[None]) -> Answer:
    """As it is now; `transaction` is the one that placed it."""
    hold = await reads.get_hold(call.service.database, call.id)
    placed = await reads.get_transaction(call.service.database, call.id)
    return Answer(200, answers.hold(hold, placed))


OPERATIONS = (create_hold, capture_hold, release_hold, get_hold)
