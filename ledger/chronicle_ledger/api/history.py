"""What happened on an account: its entries, and its balance at a moment."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from chronicle_ledger.api import answers
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.store import reads
from chronicle_ledger.web import cursors
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.bodies import in_range
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.parameters import CURSOR, LIMIT, MOMENT, Parameter, path_uuid, window


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
async def list_entries(call: Call[None]) -> Answer:
    """Oldest first. Versions are dense from 1, the opening, so a missing entry would show."""
    query = call.query
    page = await reads.list_entries(
        call.service.database,
        call.id,
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
            posted_by=item.posted_by,
        )
        for item in page.items
        if isinstance(item, reads.PostedEntry)
    ]
    following = cursors.following(page.next_cursor)
    return Answer(200, answers.EntryPage(entries, following, answers.unreadable(page.items)))


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
    problems=("account_not_found", "validation_failed", "moment_too_recent"),
)
async def get_balance(call: Call[None]) -> Answer:
    """By the time of posting. An answer for `at` is final: the same moment gives the same balance ever after.

    So a moment of the last seconds is refused with `moment_too_recent` where a posting of that moment may still be on
    its way; `latest` is the last moment that is final. Without `at` it is the balance now, and `available` leaves out
    what is held by holds that are over; with `at`, `available` is what was posted.
    """
    account_id = call.id
    given = call.query.moment("at")
    if given is not None:
        given = in_range(given, "at")
    database = call.service.database
    if given is None:
        standing = await reads.get_standing(database, account_id)
        now = standing.account
        at = max(call.service.now(), now.updated_at)
        balance = _balance(account_id, now.currency, at, now.balance, now.held, now.version)
        return Answer(200, replace(balance, available=standing.available))
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
