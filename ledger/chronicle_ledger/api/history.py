"""What happened on an account: its entries, and its balance at a moment."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from chronicle_ledger.api import answers, cursors
from chronicle_ledger.api.access import Role
from chronicle_ledger.api.call import Answer, Call
from chronicle_ledger.api.operation import operation
from chronicle_ledger.api.parameters import CURSOR, LIMIT, MOMENT, Parameter, Query, invalid, path_id, path_uuid, window
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.store import reads


@operation(
    "GET",
    "/v1/accounts/{account_id}/entries",
    id="listEntries",
    tag="accounts",
    summary="List an account's entries",
    role=Role.READER,
    answer=answers.EntryPage,
    parameters=(
        path_uuid("account_id", "the account"),
        CURSOR,
        LIMIT,
        *window("entries"),
    ),
    problems=("account_not_found", "validation_failed", "invalid_cursor"),
)
async def list_entries(call: Call) -> Answer:
    """Oldest first. Versions are dense from 1, the opening, so a missing entry would show."""
    account_id = path_id(call, "account_id")
    query = Query(call, "cursor", "limit", "from", "to")
    page = await reads.list_entries(
        call.service.database,
        account_id,
        cursor=cursors.decode(query.text("cursor"), cursors.version) or 0,
        limit=query.limit(),
        since=query.moment("from"),
        until=query.moment("to"),
    )
    entries = [
        answers.HistoryEntry(
            account_id=item.entry.account_id,
            currency=item.entry.currency,
            version=item.entry.version,
            amount=item.entry.amount,
            held=item.entry.held,
            balance_after=item.entry.balance_after,
            held_after=item.entry.held_after,
            transaction_id=item.transaction_id,
            posted_at=timestamp(item.posted_at),
        )
        for item in page.items
    ]
    return Answer(200, answers.EntryPage(entries, cursors.following(page.next_cursor)))


@operation(
    "GET",
    "/v1/accounts/{account_id}/balance",
    id="getBalance",
    tag="accounts",
    summary="Read an account's balance at a moment",
    role=Role.READER,
    answer=answers.BalanceAnswer,
    parameters=(
        path_uuid("account_id", "the account"),
        Parameter("at", "query", MOMENT, "The moment, by time of posting; without it, now."),
    ),
    problems=("account_not_found", "validation_failed"),
)
async def get_balance(call: Call) -> Answer:
    """By the time of posting, which never changes afterwards: a moment in the past gives the same answer for ever."""
    account_id = path_id(call, "account_id")
    query = Query(call, "at")
    given = query.moment("at")
    if given is not None and not 1900 <= given.year <= 9000:
        raise invalid("at", "the year must be between 1900 and 9000")
    database = call.service.database
    if given is None:
        now = await reads.get_account(database, account_id)
        at = max(call.service.now(), now.updated_at)
        return Answer(200, _balance(account_id, now.currency, at, now.balance, now.held, now.version))
    found = await reads.balance_at(database, account_id, given)
    if found is None:
        account = await reads.get_account(database, account_id)
        return Answer(200, _balance(account_id, account.currency, given, 0, 0, 0))
    entry = found.entry
    return Answer(
        200, _balance(account_id, entry.currency, given, entry.balance_after, entry.held_after, entry.version)
    )


def _balance(
    account_id: UUID, currency: str, at: datetime, balance: int, held: int, version: int
) -> answers.BalanceAnswer:
    return answers.BalanceAnswer(account_id, currency, timestamp(at), balance, held, balance - held, version)


OPERATIONS = (list_entries, get_balance)
