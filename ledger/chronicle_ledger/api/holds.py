"""Holds: money set aside, then captured in part or whole, released by a caller, or expired by its time."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import Body, check_metadata
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import identify
from chronicle_ledger.api.operation import operation
from chronicle_ledger.api.parameters import IF_MATCH, Query, path_id, path_uuid
from chronicle_ledger.api.schemas import CaptureRequest, HoldRequest, PlainRequest
from chronicle_ledger.domain.commands import CaptureHold, Command, PlaceHold, ReleaseHold
from chronicle_ledger.store import reads

HOLD: Final = Body(HoldRequest)
CAPTURE: Final = Body(CaptureRequest, optional=True)
RELEASE: Final = Body(PlainRequest, optional=True)


async def _post(call: Call, command: Command) -> Answer:
    posted, status, headers = await posting.post(call, command)
    if posted.hold is None:
        raise AssertionError(f"posting {command.id} brought no hold")
    return Answer(status, answers.hold(posted.hold, posted.transaction), headers)


@posting.posts(
    "/v1/holds",
    id="createHold",
    tag="holds",
    summary="Set money aside",
    answer=answers.HoldAnswer,
    body=HOLD,
    parameters=(IF_MATCH,),
    problems=(*posting.MONEY_PROBLEMS, "precondition_failed", "invalid_precondition"),
    links=links.OF_HOLD,
    example=examples.HOLD,
)
async def create_hold(call: Call) -> Answer:
    """The amount stays in the balance but is no longer available, until the hold ends.

    `expires_in` is in seconds; without it the hold stays until it is captured or released. `expected_version` and
    If-Match are the version of the account.
    """
    body: HoldRequest = await HOLD.read(call)
    check_metadata(body.metadata)
    identity, fingerprint = identify(call, "/v1/holds", body)
    version = posting.expected_version(call, body.expected_version)
    expires_at = None if body.expires_in is None else call.service.now() + timedelta(seconds=body.expires_in)
    command = PlaceHold(
        id=identity,
        fingerprint=fingerprint,
        metadata=body.metadata,
        expected_versions={} if version is None else {body.account_id: version},
        account_id=body.account_id,
        amount=body.amount,
        currency=body.currency,
        destination_id=body.destination_id,
        expires_at=expires_at,
    )
    return await _post(call, command)


@posting.posts(
    "/v1/holds/{hold_id}/capture",
    id="captureHold",
    tag="holds",
    summary="Take a hold, in part or whole",
    answer=answers.HoldAnswer,
    body=CAPTURE,
    parameters=(path_uuid("hold_id", "the hold"),),
    problems=(*posting.MONEY_PROBLEMS, "hold_not_found", "hold_not_pending", "capture_exceeds_hold"),
    links={"read": links.OF_HOLD["read"]},
    example=examples.CAPTURE,
)
async def capture_hold(call: Call) -> Answer:
    """Without `amount`, all of it; what is not captured is available again. The body may be empty.

    The money goes to `destination_id`, else to the hold's destination, else out of the ledger.
    """
    hold_id = path_id(call, "hold_id")
    body: CaptureRequest = await CAPTURE.read(call)
    identity, fingerprint = identify(call, f"/v1/holds/{hold_id}/capture", body)
    command = CaptureHold(
        **posting.common(identity, fingerprint, body),
        hold_id=hold_id,
        amount=body.amount,
        destination_id=body.destination_id,
    )
    return await _post(call, command)


@posting.posts(
    "/v1/holds/{hold_id}/release",
    id="releaseHold",
    tag="holds",
    summary="Give a hold back",
    answer=answers.HoldAnswer,
    body=RELEASE,
    parameters=(path_uuid("hold_id", "the hold"),),
    problems=(*posting.PROBLEMS, "hold_not_found", "hold_not_pending", "account_closed", "account_frozen"),
    links={"read": links.OF_HOLD["read"]},
    example=examples.PLAIN,
)
async def release_hold(call: Call) -> Answer:
    """All of it is available again. The body may be empty."""
    hold_id = path_id(call, "hold_id")
    body: PlainRequest = await RELEASE.read(call)
    identity, fingerprint = identify(call, f"/v1/holds/{hold_id}/release", body)
    command = ReleaseHold(
        **posting.common(identity, fingerprint, body),
        hold_id=hold_id,
    )
    return await _post(call, command)


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
async def get_hold(call: Call) -> Answer:
    """As it is now; `transaction` is the one that placed it."""
    hold_id = path_id(call, "hold_id")
    Query(call)
    hold = await reads.get_hold(call.service.database, hold_id)
    placed = await reads.get_transaction(call.service.database, hold_id)
    return Answer(200, answers.hold(hold, placed))


OPERATIONS = (create_hold, capture_hold, release_hold, get_hold)
