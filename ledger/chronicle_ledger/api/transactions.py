"""Transactions of many entries, reading one, and reversing one."""

from __future__ import annotations

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.schemas import JournalRequest, PlainRequest
from chronicle_ledger.domain.commands import Command, Leg, PostEntries, Reverse
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.store import reads
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import Body
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.idempotency import Identity
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import path_uuid
from chronicle_ledger.web.problems import Problem

JOURNAL = Body(JournalRequest)
PLAIN = Body(PlainRequest, optional=True)


def journal(identity: Identity, body: JournalRequest) -> PostEntries:
    """Return the command of a journal. Raises Problem for bad metadata and for an entry that moves nothing."""
    for index, line in enumerate(body.entries):
        if line.amount == 0:  # every other bound is the schema's, which has no word for this one
            field = f"entries[{index}].amount"
            raise Problem("amount_out_of_range", f"{field}: must not be 0.", field=field)
    return PostEntries(
        **posting.common(identity, body),
        expected_versions={
            line.account_id: line.expected_version for line in body.entries if line.expected_version is not None
        },
        kind=TransactionKind.JOURNAL,
        legs=tuple([Leg(line.account_id, line.amount, line.currency) for line in body.entries]),
    )


@posting.posts(
    "/v1/transactions",
    id="createTransaction",
    summary="Post many entries at once",
    body=JOURNAL,
    problems=(*posting.MONEY_PROBLEMS, "unbalanced"),
    links=links.OF_TRANSACTION,
    example=examples.JOURNAL,
)
def create_transaction(call: Call[JournalRequest], identity: Identity) -> Command:
    """Entries in one or several currencies, which sum to zero in each."""
    return journal(identity, call.body)


@posting.posts(
    "/v1/transactions/{transaction_id}/reversal",
    id="reverseTransaction",
    summary="Post the opposite of a transaction, once",
    body=PLAIN,
    parameters=(path_uuid("transaction_id", "the transaction to reverse"),),
    problems=(*posting.MONEY_PROBLEMS, "transaction_not_found", "already_reversed", "not_reversible"),
    links={"read": links.OF_TRANSACTION["read"]},
    example=examples.PLAIN,
)
def reverse_transaction(call: Call[PlainRequest], identity: Identity) -> Command:
    """Transfers, deposits, withdrawals, journals and captures can be reversed. The body may be empty."""
    return Reverse(**posting.common(identity, call.body), transaction_id=call.id)


@operation(
    "GET",
    "/v1/transactions/{transaction_id}",
    id="getTransaction",
    tag="transactions",
    summary="Read a transaction",
    role=Role.READER,
    answer=answers.TransactionAnswer,
    parameters=(path_uuid("transaction_id", "the transaction"),),
    problems=("transaction_not_found", "validation_failed"),
)
async def get_transaction(call: Call[None]) -> Answer:
    """Posted transactions never change, so the answer may be kept."""
    return Answer(200, answers.transaction(await reads.get_transaction(call.service.database, call.id)))


OPERATIONS = (create_transaction, reverse_transaction, get_transaction)
