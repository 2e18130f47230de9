"""The proof, on demand."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from chronicle_ledger.api.access import Role
from chronicle_ledger.api.answers import Hash, Moment
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.operation import operation
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.store.failures import DATABASE_ERRORS

ResultName = Literal["Passed", "Failed", "Inconclusive", "NotApplicable"]


class CheckAnswer(Struct, frozen=True):
    """One check: what was compared, how many, how many differ, and where the first difference is (null: nowhere).

    `ok` is true for Passed and NotApplicable.
    """

    name: str
    ok: bool
    result: ResultName
    what: str
    compared: int
    differences: int
    message: str
    difference: dict[str, Any] | None
    figures: dict[str, Any]


class ProvenLedger(Struct, frozen=True):
    """What the ledger held. `head` is one hash over the heads of all accounts."""

    accounts: int
    transactions: int
    entries: int
    head: Hash


class ProofAnswer(Struct, frozen=True):
    """Failed where any check failed; Inconclusive where one could not be made."""

    result: ResultName
    at: Moment
    seconds: float
    ledger: ProvenLedger
    checks: list[CheckAnswer]


@operation(
    "GET",
    "/v1/proof",
    id="getProof",
    tag="events",
    summary="Prove that ledger, stream and read model agree",
    role=Role.READER,
    answer=ProofAnswer,
    deadline=False,
)
async def get_proof(call: Call) -> Answer:
    """Compares everything at one moment while writes go on; a stream behind by the outbox is fine. Takes as long as the
    ledger is large (some seconds per 10,000 transactions), and one proof runs at a time. Answers 200 also where a check
    failed: see `result`."""
    try:
        proof = await call.service.events.proof()
    except DATABASE_ERRORS as error:
        raise DatabaseUnavailable(f"The proof could not be finished: {str(error).strip()}; try again.") from error
    return Answer(200, proof.document())


OPERATIONS = (get_proof,)
"""The proof's operation."""
