"""The read model: answers that may be some events behind the ledger, and say by how many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any, Final, Unpack
from uuid import UUID

from msgspec import Struct

from chronicle_ledger.api.answers import Moment, Subject
from chronicle_ledger.domain.account import AccountKind
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.store import reads, view_reads
from chronicle_ledger.store.view_reads import ViewBalance
from chronicle_ledger.web import cursors
from chronicle_ledger.web.access import Role
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.operation import Described, Handler, Operation, operation
from chronicle_ledger.web.parameters import (
    CURRENCY,
    CURSOR,
    LIMIT,
    UUID_TEXT,
    Parameter,
    Query,
    invalid,
    path_uuid,
    window,
)
from chronicle_ledger.web.problems import Problem

WAIT_SECONDS: Final = 5.0
"""How long `min_version` waits at most."""

LAG_HEADERS: Final = {
    "Chronicle-Read-Model-Lag-Events": "How many events the read model is behind the ledger; `10000+` where counting"
    " ended there, `unknown` where it could not be measured in time, and before NATS or a projector was heard of.",
    "Chronicle-Read-Model-Lag-Seconds": "The age of the oldest of them, in seconds; `unknown` where it could not be"
    " measured.",
}
MIN_VERSION: Final = Parameter(
    "min_version",
    "query",
    {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "Wait (5 seconds at most) until the read model has reached this version of the account: to read one's own write.",
)


class BalanceLine(Struct, frozen=True):
    """An account as of `version`; money in minor units."""

    account_id: UUID
    currency: str
    kind: AccountKind
    balance: int
    held: int
    available: int
    version: int
    posted_at: Moment


class BalancePage(Struct, frozen=True):
    """One page of balances; next_cursor is null on the last."""

    balances: list[BalanceLine]
    next_cursor: str | None


class StatementLineAnswer(Struct, frozen=True):
    """One line of a statement; `balance_after` is the running balance."""

    version: int
    transaction_id: UUID
    kind: TransactionKind
    amount: int
    held: int
    balance_after: int
    held_after: int
    effective_at: Moment
    posted_at: Moment
    posted_by: Subject


class StatementPage(Struct, frozen=True):
    """An account and one page of its lines, oldest first; next_cursor is null on the last."""

    account: BalanceLine
    lines: list[StatementLineAnswer]
    next_cursor: str | None


class DayAnswer(Struct, frozen=True):
    """One UTC day of an account: what went out, what came in, the balance at its end."""

    day: date
    debits: int
    credits: int
    entries: int
    closing_balance: int


class DayPage(Struct, frozen=True):
    """One page of days, oldest first; next_cursor is null on the last."""

    days: list[DayAnswer]
    next_cursor: str | None


class TrialLineAnswer(Struct, frozen=True):
    """One currency: the sum of the balances below zero (as a positive number) and above; they are equal."""

    currency: str
    accounts: int
    debit: int
    credit: int
    difference: int


class TrialBalance(Struct, frozen=True):
    """One line a currency."""

    currencies: list[TrialLineAnswer]


_OF_ACCOUNT: Final = ("account_not_found", "validation_failed", "invalid_cursor", "read_model_behind")


def _view(
    path: str,
    *,
    answer: Any,
    problems: tuple[str, ...],
    parameters: tuple[Parameter, ...] = (),
    **described: Unpack[Described],
) -> Callable[[Handler[None]], Operation]:
    """Declare a read that says how far the read model is behind."""
    return operation(
        "GET",
        path,
        tag="events",
        role=Role.READER,
        answer=answer,
        answer_headers=LAG_HEADERS,
        parameters=parameters,
        problems=problems,
        **described,
    )


def _min_version(query: Query) -> int:
    text = query.text("min_version")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise invalid("min_version", "must be an integer from 0 to 2^63 - 1")
    return int(text)


async def _lag(call: Call[None]) -> dict[str, str]:
    """The headers. Measured before the read, so the answer is at least as fresh as they say."""
    lag = await call.service.events.lag.read()
    more = "+" if lag.more else ""
    return {
        "Chronicle-Read-Model-Lag-Events": "unknown" if lag.events is None else f"{lag.events}{more}",
        "Chronicle-Read-Model-Lag-Seconds": "unknown" if lag.seconds is None else f"{lag.seconds:.3f}",
        "content-type": "application/json",
        "cache-control": "no-store",
    }


async def _account(call: Call[None], account: UUID, at_least: int) -> ViewBalance:
    """The account, once it is at version `at_least`. Raises Problem account_not_found, read_model_behind, and
    validation_failed where the ledger itself has not reached that version."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    pause = 0.01
    written: int | None = None
    while True:
        found = await view_reads.balance(call.service.database, account)
        if found is not None and found.version >= at_least:
            return found
        if not at_least:
            raise Problem(
                "account_not_found", f"The read model does not know account {account} (yet).", account_id=str(account)
            )
        if written is None:
            # Waiting makes sense for what was written alone; the ledger knows what was.
            written = (await reads.get_account(call.service.database, account)).version
            if at_least > written:
                raise invalid("min_version", f"must be a version that was written; the account is at {written}")
        if loop.time() + pause > deadline:
            at = found.version if found is not None else 0
            raise Problem(
                "read_model_behind",
                f"The read model is at version {at} of the account, not yet at {at_least}; try again.",
                version=at, min_version=at_least,
            )  # fmt: skip
        await asyncio.sleep(pause)
        pause = min(0.1, pause * 1.5)


def _line(value: ViewBalance) -> BalanceLine:
    return BalanceLine(
        value.account_id, value.currency, AccountKind(value.kind), value.balance, value.held,
        value.balance - value.held, value.version, timestamp(value.posted_at),
    )  # fmt: skip


@_view(
    "/v1/views/balances",
    id="listViewBalances",
    summary="List balances from the read model",
    answer=BalancePage,
    parameters=(
        CURSOR,
        LIMIT,
        CURRENCY,
        Parameter("account_id", "query", UUID_TEXT, "Only this account, without cursor, limit and currency."),
        MIN_VERSION,
    ),
    problems=_OF_ACCOUNT,
)
async def list_balances(call: Call[None]) -> Answer:
    """In order of account id. `min_version` needs `account_id`."""
    query = call.query
    limit, at_least, currency = query.limit(), _min_version(query), query.currency()
    cursor = cursors.decode(query.text("cursor"), UUID)
    account = query.identity("account_id")
    query.alone("account_id", "cursor", "limit", "currency")
    if account is not None:
        headers = await _lag(call)
        return Answer(200, BalancePage([_line(await _account(call, account, at_least))], None), headers)
    if at_least:
        raise invalid("min_version", "needs account_id: versions belong to accounts")
    headers = await _lag(call)
    page = await view_reads.balances(call.service.database, cursor=cursor, limit=limit, currency=currency)
    return Answer(200, BalancePage([_line(item) for item in page.items], cursors.following(page.next_cursor)), headers)


@_view(
    "/v1/views/accounts/{account_id}/statement",
    id="getStatement",
    summary="Read an account's statement from the read model",
    answer=StatementPage,
    parameters=(
        path_uuid("account_id", "the account"),
        CURSOR,
        LIMIT,
        *window("lines"),
        MIN_VERSION,
    ),
    problems=_OF_ACCOUNT,
)
async def get_statement(call: Call[None]) -> Answer:
    """Oldest first, with the running balance."""
    account, query = call.id, call.query
    limit, at_least = query.limit(), _min_version(query)
    cursor = cursors.decode(query.text("cursor"), cursors.version) or 0
    since, until = query.moment("from"), query.moment("to")
    headers = await _lag(call)
    balance = await _account(call, account, at_least)
    page = await view_reads.statement(
        call.service.database, account, cursor=cursor, limit=limit, since=since, until=until
    )
    lines = [
        StatementLineAnswer(
            item.version, item.transaction_id, TransactionKind(item.kind), item.amount, item.held, item.balance_after,
            item.held_after, timestamp(item.effective_at), timestamp(item.posted_at), item.posted_by,
        )
        for item in page.items
    ]  # fmt: skip
    return Answer(200, StatementPage(_line(balance), lines, cursors.following(page.next_cursor)), headers)


@_view(
    "/v1/views/accounts/{account_id}/days",
    id="listDays",
    summary="Read an account's daily totals from the read model",
    answer=DayPage,
    parameters=(path_uuid("account_id", "the account"), CURSOR, LIMIT, MIN_VERSION),
    problems=_OF_ACCOUNT,
)
async def list_days(call: Call[None]) -> Answer:
    """UTC days of posting, oldest first; days without entries are left out."""
    account, query = call.id, call.query
    limit, at_least = query.limit(), _min_version(query)
    cursor = cursors.decode(query.text("cursor"), date.fromisoformat)
    headers = await _lag(call)
    await _account(call, account, at_least)
    page = await view_reads.days(call.service.database, account, cursor=cursor, limit=limit)
    days = [DayAnswer(item.day, item.debits, item.credits, item.entries, item.closing_balance) for item in page.items]
    return Answer(200, DayPage(days, cursors.following(page.next_cursor)), headers)


@_view(
    "/v1/views/trial-balance",
    id="getTrialBalance",
    summary="Read the trial balance from the read model",
    answer=TrialBalance,
    problems=("validation_failed",),
)
async def get_trial_balance(call: Call[None]) -> Answer:
    """While the read model is behind, a currency's difference may be other than 0 for a moment: a transaction's
    entries on accounts that were behind are shown when their gaps are filled."""
    headers = await _lag(call)
    lines = [
        TrialLineAnswer(line.currency, line.accounts, line.debit, line.credit, line.credit - line.debit)
        for line in await view_reads.trial_balance(call.service.database)
    ]
    return Answer(200, TrialBalance(lines), headers)


OPERATIONS = (list_balances, get_statement, list_days, get_trial_balance)
"""What can be read from the read model."""
