"""The proof, on demand."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from chronicle_ledger import logs
from chronicle_ledger.api.answers import Hash, Moment
from chronicle_ledger.proof.apart import ProofUnfinished, TooManyProofs
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.problems import Problem

log = logs.get(__name__)

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
    role=Role.AUDITOR,
    answer=ProofAnswer,
    problems=("too_many_proofs", "proof_unfinished"),
    deadline=False,
)
async def get_proof(call: Call[None]) -> Answer:
    """Compares everything at one moment while writes go on; a stream behind by the outbox is fine. Takes as long as the
    ledger is large (some seconds per 10,000 transactions). An instance makes one proof at a time, in a process of its
    own, and pauses after it for as long as it took: 429 meanwhile. Answers 200 also where a check failed: see
    `result`."""
    try:
        return Answer(200, await call.service.events.proofs.prove())
    except TooManyProofs as error:
        raise Problem(
            "too_many_proofs",
            f"This instance makes a proof, or has made one just now; ask again in {error.seconds} s.",
            headers={"retry-after": str(error.seconds)},
        ) from error
    except ProofUnfinished as error:
        log.warning("proof not finished", error=str(error))
        raise Problem("proof_unfinished") from error


OPERATIONS = (get_proof,)
"""The proof's operation."""
