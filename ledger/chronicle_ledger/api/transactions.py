"""Transactions of many entries, reading one, and reversing one."""

from __future__ import annotations

from uuid import UUID

from chronicle_ledger.api import answers, examples, links, posting
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.bodies import Body
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.idempotency import identify
from chronicle_ledger.api.operation import operation
from chronicle_ledger.api.parameters import Query, path_id, path_uuid
from chronicle_ledger.api.problems import Problem
from chronicle_ledger.api.schemas import JournalRequest, PlainRequest
from chronicle_ledger.domain.commands import Leg, PostEntries, Reverse
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.store import reads

JOURNAL = Body(JournalRequest)
PLAIN = Body(PlainRequest, optional=True)


def journal(identity: UUID, fingerprint: bytes, body: JournalRequest) -> PostEntries:
    """The command of a journal. Raises Problem for metadata that cannot be kept and for an entry that moves nothing."""
    for index, line in enumerate(body.entries):
        if line.amount == 0:  # every other bound is the schema's, which has no word for this one
            field = f"entries[{index}].amount"
            raise Problem("amount_out_of_range", f"{field}: must not be 0.", field=field)
    return PostEntries(
        **posting.common(identity, fingerprint, body),
        expected_versions={
            line.account_id: line.expected_version for line in body.entries if line.expected_version is not None
        },
        kind=TransactionKind.JOURNAL,
        legs=tuple([Leg(line.account_id, line.amount, line.currency) for line in body.entries]),
    )


@posting.posts(
    "/v1/transactions",
    id="createTransaction",
    tag="transactions",
    summary="Post many entries at once",
    answer=answers.TransactionAnswer,
    body=JOURNAL,
    problems=(*posting.MONEY_PROBLEMS, "unbalanced"),
    links=links.OF_TRANSACTION,
    example=examples.JOURNAL,
)
async def create_transaction(call: Call) -> Answer:
    """Entries in one or several currencies, which sum to zero in each."""
    body: JournalRequest = await JOURNAL.read(call)
    identity, fingerprint = identify(call, "/v1/transactions", body)
    return await posting.post_transaction(call, journal(identity, fingerprint, body))


@posting.posts(
    "/v1/transactions/{transaction_id}/reversal",
    id="reverseTransaction",
    tag="transactions",
    summary="Post the opposite of a transaction, once",
    answer=answers.TransactionAnswer,
    body=PLAIN,
    parameters=(path_uuid("transaction_id", "the transaction to reverse"),),
    problems=(*posting.MONEY_PROBLEMS, "transaction_not_found", "already_reversed", "not_reversible"),
    links={"read": links.OF_TRANSACTION["read"]},
    example=examples.PLAIN,
)
async def reverse_transaction(call: Call) -> Answer:
    """Transfers, deposits, withdrawals, journals and captures can be reversed. The body may be empty."""
    target = path_id(call, "transaction_id")
    body: PlainRequest = await PLAIN.read(call)
    identity, fingerprint = identify(call, f"/v1/transactions/{target}/reversal", body)
    command = Reverse(
        **posting.common(identity, fingerprint, body),
        transaction_id=target,
    )
    return await posting.post_transaction(call, command)


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
async def get_transaction(call: Call) -> Answer:
    """Posted transactions never change, so the answer may be kept."""
    identity = path_id(call, "transaction_id")
    Query(call)
    return Answer(200, answers.transaction(await reads.get_transaction(call.service.database, identity)))


OPERATIONS = (create_transaction, reverse_transaction, get_transaction)
