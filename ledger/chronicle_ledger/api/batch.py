"""Up to 1,000 postings in one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chronicle_ledger.api import answers, examples, transactions, transfers
from chronicle_ledger.api import posting as postings
from chronicle_ledger.api.schemas import BatchDeposit, BatchItem, BatchJournal, BatchRequest, BatchTransfer
from chronicle_ledger.domain.commands import PostEntries
from chronicle_ledger.domain.errors import BatchAborted, LedgerError
from chronicle_ledger.domain.evaluate import check
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.posting.batch import aborted_by
from chronicle_ledger.posting.work import Result
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.idempotency import identify_item
from chronicle_ledger.web.json_text import VALUES_OF_BATCH
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import DRY_RUN
from chronicle_ledger.web.problems import Problem

PATH: Final = "/v1/transactions:batch"
BATCH: Final = Body(BatchRequest, values=VALUES_OF_BATCH)


def _command(call: Call[BatchRequest], item: BatchItem, field: str) -> PostEntries:
    identity = identify_item(call, PATH, item.idempotency_key, item, f"{field}.idempotency_key")
    if isinstance(item, BatchTransfer):
        return transfers.transfer(identity, item, item.expected_version)
    if isinstance(item, BatchJournal):
        return transactions.journal(identity, item)
    kind = TransactionKind.DEPOSIT if isinstance(item, BatchDeposit) else TransactionKind.WITHDRAWAL
    return transfers.cash(kind, item.account_id, identity, item, item.expected_version)


def _commands(call: Call[BatchRequest]) -> list[PostEntries]:
    commands = []
    for index, item in enumerate(call.body.transactions):
        field = f"transactions[{index}]"
        try:
            commands.append(_command(call, item, field))
        except Problem as problem:  # name the item that the field belongs to
            raise Problem(problem.code, f"{field}: {problem.detail}", **{**problem.figures, "index": index}) from None
    return commands


def _results(call: Call[BatchRequest], outcomes: Sequence[Result], *, status: int) -> answers.BatchAnswer:
    return answers.BatchAnswer([_result(call, outcome, status) for outcome in outcomes])


def _result(call: Call[BatchRequest], outcome: Result, status: int) -> answers.BatchResult:
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
    problems=(*(code for code in postings.MONEY_PROBLEMS if code != "idempotency_key_missing"), "unbalanced"),
    example=examples.BATCH,
)
async def create_batch(call: Call[BatchRequest]) -> Answer:
    """Each posting has its own idempotency key and its own result, in the order of the request.

    With `atomic` true all are posted in one database transaction or none is. Where one is refused, so is the request:
    the answer is the problem of the first posting that was refused, with its place in the request as `index` and all
    results as `results`, in which the others are `batch_aborted`. With `atomic` false each stands for itself, though
    many share a database transaction for speed, and the answer is 200. A body that cannot be read refuses the whole
    request. A dry run evaluates them together, each after the ones before it, and has the status 200 for each that
    would be posted.
    """
    commands, atomic = _commands(call), call.body.atomic
    posting = call.service.posting
    deadline = call.service.settings.request_deadline
    dry = call.query.flag("dry_run")
    outcomes = _refused_alone(commands) if atomic else []
    if not outcomes and dry:
        outcomes = await posting.preview_many(commands, atomic=atomic)
    elif not outcomes:
        outcomes = await posting.submit_many(commands, atomic=atomic, deadline=deadline)
    results = _results(call, outcomes, status=200 if dry else 201)
    if atomic:
        _refuse_whole(outcomes, results)
    return Answer(200, results)


def _refuse_whole(outcomes: Sequence[Result], results: answers.BatchAnswer) -> None:
    """Raise the Problem of the first posting that was refused for a reason of its own, if there is one."""
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, LedgerError) and not isinstance(outcome, BatchAborted):
            problem = Problem.of(outcome)
            problem.figures.update(index=index, results=results.results)
            raise problem


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
