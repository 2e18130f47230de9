"""Up to 1,000 postings in one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chronicle_ledger.api import answers, examples, transactions, transfers
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import Body
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import identify_item, is_dry_run
from chronicle_ledger.api.operation import operation
from chronicle_ledger.api.parameters import DRY_RUN
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.api.schemas import BatchDeposit, BatchItem, BatchJournal, BatchRequest, BatchTransfer
from chronicle_ledger.domain.commands import PostEntries
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.evaluate import check
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.posting.batch import aborted_by
from chronicle_ledger.posting.work import Result

PATH: Final = "/v1/transactions:batch"
BATCH: Final = Body(BatchRequest)


def _command(call: Call, item: BatchItem, field: str) -> PostEntries:
    identity, fingerprint = identify_item(call, PATH, item.idempotency_key, item, f"{field}.idempotency_key")
    if isinstance(item, BatchTransfer):
        return transfers.transfer(identity, fingerprint, item)
    if isinstance(item, BatchJournal):
        return transactions.journal(identity, fingerprint, item)
    kind = TransactionKind.DEPOSIT if isinstance(item, BatchDeposit) else TransactionKind.WITHDRAWAL
    return transfers.cash(kind, item.account_id, identity, fingerprint, item)


def _commands(call: Call, body: BatchRequest) -> list[PostEntries]:
    commands = []
    for index, item in enumerate(body.transactions):
        field = f"transactions[{index}]"
        try:
            commands.append(_command(call, item, field))
        except Problem as problem:  # name the item that the field belongs to
            raise Problem(problem.code, f"{field}: {problem.detail}", **{**problem.figures, "index": index}) from None
    return commands


def _results(call: Call, outcomes: Sequence[Result], *, status: int) -> answers.BatchAnswer:
    return answers.BatchAnswer([_result(call, outcome, status) for outcome in outcomes])


def _result(call: Call, outcome: Result, status: int) -> answers.BatchResult:
    if isinstance(outcome, LedgerError):
        problem = Problem.of(outcome)
        return answers.BatchResult(problem.status, problem=problem.document(call.request_id))
    return answers.BatchResult(status, answers.transaction(outcome.transaction), replayed=outcome.replayed)


@operation(
    "POST",
    PATH,
    id="createBatch",
    tag="transactions",
    summary="Post up to 1,000 transactions",
    role=Role.WRITER,
    answer=answers.BatchAnswer,
    body=BATCH,
    parameters=(DRY_RUN,),
    problems=("idempotency_key_invalid", "amount_out_of_range"),
    example=examples.BATCH,
)
async def create_batch(call: Call) -> Answer:
    """Each posting has its own idempotency key and its own result, in the order of the request.

    With `atomic` true all are posted in one database transaction or none is: where one is refused, its result says
    why, and the others' results are `batch_aborted`. With `atomic` false each stands for itself, though many share a
    database transaction for speed. A body that cannot be read refuses the whole request. A dry run evaluates them
    together, each after the ones before it, and answers 200 for each that would be posted.
    """
    body: BatchRequest = await BATCH.read(call)
    commands = _commands(call, body)
    posting = call.service.posting
    deadline = call.service.settings.request_deadline
    dry = is_dry_run(call)
    outcomes = _refused_alone(commands) if body.atomic else []
    if not outcomes and dry:
        outcomes = await posting.preview_many(commands, atomic=body.atomic)
    elif not outcomes:
        outcomes = await posting.submit_many(commands, atomic=body.atomic, deadline=deadline)
    return Answer(200, _results(call, outcomes, status=200 if dry else 201))


def _refused_alone(commands: Sequence[PostEntries]) -> list[Result]:
    """The results of an atomic batch in which one can be refused without a look at the ledger; empty where none is."""
    refused: dict[int, LedgerError] = {}
    for index, command in enumerate(commands):
        try:
            check(command)
        except LedgerError as error:
            refused[index] = error
    return [refused.get(index) or aborted_by(min(refused)) for index in range(len(commands))] if refused else []


OPERATIONS = (create_batch,)
