"""Writing a batch: every row of every transaction, and the commit, in one round trip.

Each table is changed by one statement, whatever the size of the batch: `unnest` in the select list turns parallel
arrays into rows, on PostgreSQL as on CockroachDB 20.1, and the statement's text, thus its plan, stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.book import Outcome
from chronicle_ledger.domain.canonical import canonical_json, timestamp
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Entry, Hold, HoldState
from chronicle_ledger.store.arrays import binary, plain, quoted
from chronicle_ledger.store.pool import Connection

EXPIRY_SHARDS = 16

TXN = """
INSERT INTO txn (id, fingerprint, kind, reverses, hold_id, effective_at, posted_at, metadata, details, hash, posted_by)
SELECT unnest(%s::uuid[]), unnest(%s::bytea[]), unnest(%s::text[]), unnest(%s::uuid[]), unnest(%s::uuid[]),
       unnest(%s::timestamptz[]), unnest(%s::timestamptz[]), unnest(%s::text[]), unnest(%s::text[]),
       unnest(%s::bytea[]), unnest(%s::text[])
"""
ENTRY = """
INSERT INTO entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)
SELECT unnest(%s::uuid[]), unnest(%s::int8[]), unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::int8[]),
       unnest(%s::int8[]), unnest(%s::int8[]), unnest(%s::int8[]), unnest(%s::timestamptz[])
"""
# The version guard: a row that moved on is not written, and then the entry of that version exists already, whose
# primary key aborts the whole transaction.
_MOVE = """
UPDATE account
SET balance = new.balance, held = new.held, version = new.version, head = new.head, updated_at = new.updated_at
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int8[]) AS seen, unnest(%s::int8[]) AS version,
             unnest(%s::int8[]) AS balance, unnest(%s::int8[]) AS held, unnest(%s::bytea[]) AS head,
             unnest(%s::timestamptz[]) AS updated_at) AS new
WHERE account.id = new.id AND account.version = new.seen
"""
# The same with what is not money, for the rare account where it changes. One statement, since a floor that is lowered
# and the withdrawal that needs it must meet the table's check together.
_MOVE_AND_SET = """
UPDATE account
SET balance = new.balance, held = new.held, version = new.version, head = new.head, updated_at = new.updated_at,
    floor = new.floor, status = new.status, metadata = new.metadata
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int8[]) AS seen, unnest(%s::int8[]) AS version,
             unnest(%s::int8[]) AS balance, unnest(%s::int8[]) AS held, unnest(%s::bytea[]) AS head,
             unnest(%s::timestamptz[]) AS updated_at, unnest(%s::int8[]) AS floor, unnest(%s::text[]) AS status,
             unnest(%s::text[]) AS metadata) AS new
WHERE account.id = new.id AND account.version = new.seen
"""
OPEN = """
INSERT INTO account (id, currency, kind, balance, held, floor, version, status, head, metadata, created_at, updated_at)
SELECT unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::int8[]), unnest(%s::int8[]),
       unnest(%s::int8[]), unnest(%s::int8[]), unnest(%s::text[]), unnest(%s::bytea[]), unnest(%s::text[]),
       unnest(%s::timestamptz[]), unnest(%s::timestamptz[])
"""
HOLD = """
INSERT INTO hold (id, account_id, destination_id, amount, captured, state, expires_at, expiry_shard)
SELECT unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::int8[]), unnest(%s::int8[]),
       unnest(%s::text[]), unnest(%s::timestamptz[]), unnest(%s::int2[])
"""
_END_HOLD = """
UPDATE hold SET captured = new.captured, state = new.state
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int8[]) AS captured, unnest(%s::text[]) AS state) AS new
WHERE hold.id = new.id
"""
REVERSAL = "INSERT INTO reversal (reverses, txn_id) SELECT unnest(%s::uuid[]), unnest(%s::uuid[])"
OUTBOX = """
INSERT INTO outbox (shard, id, payload, created_at)
SELECT unnest(%s::int2[]), unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::timestamptz[])
"""

# After the accounts were written: from then on whoever locks one of them waits for this transaction. So nobody who has
# locked an account later than the given moment sees a posting appear that is older than `LONGEST_EVALUATION`. The lock
# taken at the start does not suffice: CockroachDB may lose it when a range moves.
_FRESH = "SELECT 1 / (CASE WHEN clock_timestamp() < %s::timestamptz THEN 1 ELSE 0 END)"

LONGEST_EVALUATION = timedelta(seconds=3)
"""How long a batch may take from the reading of the database's time to the writing of its last row."""


def _moment(value: datetime | None) -> str | None:
    return None if value is None else timestamp(value)


def transaction_arrays(outcomes: Sequence[Outcome]) -> list[str]:
    """Parameters of the insertion into `txn`."""
    txns = [outcome.transaction for outcome in outcomes]
    return [
        plain([t.id for t in txns]),
        binary([t.fingerprint for t in txns]),
        plain([t.kind.value for t in txns]),
        plain([t.reverses for t in txns]),
        plain([t.hold_id for t in txns]),
        plain([timestamp(t.effective_at) for t in txns]),
        plain([timestamp(t.posted_at) for t in txns]),
        quoted([canonical_json(t.metadata) for t in txns]),
        quoted([canonical_json(t.details) for t in txns]),
        binary([t.hash for t in txns]),
        quoted([t.posted_by for t in txns]),
    ]


def entry_arrays(outcomes: Sequence[Outcome]) -> list[str]:
    """Parameters of the insertion into `entry`."""
    entries: list[Entry] = []
    ids: list[str] = []
    moments: list[str] = []
    for outcome in outcomes:
        txn = outcome.transaction
        entries.extend(txn.entries)
        ids.extend([str(txn.id)] * len(txn.entries))
        moments.extend([timestamp(txn.posted_at)] * len(txn.entries))
    return [
        plain([e.account_id for e in entries]),
        plain([e.version for e in entries]),
        plain(ids),
        quoted([e.currency for e in entries]),
        plain([e.amount for e in entries]),
        plain([e.held for e in entries]),
        plain([e.balance_after for e in entries]),
        plain([e.held_after for e in entries]),
        plain(moments),
    ]


def outbox_arrays(outcomes: Sequence[Outcome]) -> list[str]:
    """Parameters of the insertion into `outbox`."""
    txns = [outcome.transaction for outcome in outcomes]
    return [
        plain([shard_of(t) for t in txns]),
        plain([t.id for t in txns]),
        quoted([payload_of(t) for t in txns]),
        plain([timestamp(t.posted_at) for t in txns]),
    ]


def open_arrays(accounts: Sequence[Account]) -> list[str]:
    """Parameters of the insertion into `account`."""
    return [
        plain([a.id for a in accounts]),
        quoted([a.currency for a in accounts]),
        plain([a.kind.value for a in accounts]),
        plain([a.balance for a in accounts]),
        plain([a.held for a in accounts]),
        plain([a.floor for a in accounts]),
        plain([a.version for a in accounts]),
        plain([a.status.value for a in accounts]),
        binary([a.head for a in accounts]),
        quoted([canonical_json(a.metadata) for a in accounts]),
        plain([timestamp(a.created_at) for a in accounts]),
        plain([timestamp(a.updated_at) for a in accounts]),
    ]


def hold_arrays(holds: Sequence[Hold]) -> list[str]:
    """Parameters of the insertion into `hold`."""
    return [
        plain([h.id for h in holds]),
        plain([h.account_id for h in holds]),
        plain([h.destination_id for h in holds]),
        plain([h.amount for h in holds]),
        plain([h.captured for h in holds]),
        plain([h.state.value for h in holds]),
        plain([_moment(h.expires_at) for h in holds]),
        plain([h.id.int % EXPIRY_SHARDS for h in holds]),
    ]


_GUARD = "AND account.version = new.seen"


async def write_accounts(
    connection: Connection, outcomes: Sequence[Outcome], before: dict[UUID, Account], *, guarded: bool = True
) -> None:
    """Queue the changes of accounts: each account once, from the state in `before` to its last.

    `guarded` False leaves the version guard out, for a negative control.
    """
    last: dict[UUID, Account] = {}
    for outcome in outcomes:
        for account in outcome.accounts:
            last[account.id] = account
    opened: list[Account] = []
    moved: list[Move] = []
    changed: list[Move] = []
    for id_, account in last.items():
        then = before.get(id_)
        if then is None:
            opened.append(account)
        else:
            (changed if _differs(account, then) else moved).append((account, then))
    if opened:
        await connection.execute(OPEN, open_arrays(opened))
    # Two statements: the metadata of accounts that only move may be larger than a message may be.
    if moved:
        await connection.execute(_guarded(_MOVE, guarded), _move_arrays(moved))
    if changed:
        values = [
            *_move_arrays(changed),
            plain([a.floor for a, _ in changed]),
            plain([a.status.value for a, _ in changed]),
            quoted([canonical_json(a.metadata) for a, _ in changed]),
        ]
        await connection.execute(_guarded(_MOVE_AND_SET, guarded), values)


Move = tuple[Account, Account]
"""An account as it is now, and as it was loaded."""


def _move_arrays(moves: Sequence[Move]) -> list[str]:
    return [
        plain([a.id for a, _ in moves]),
        plain([then.version for _, then in moves]),
        plain([a.version for a, _ in moves]),
        plain([a.balance for a, _ in moves]),
        plain([a.held for a, _ in moves]),
        binary([a.head for a, _ in moves]),
        plain([timestamp(a.updated_at) for a, _ in moves]),
    ]


def _guarded(statement: str, guarded: bool) -> str:
    return statement if guarded else statement.replace(_GUARD, "")


def _differs(account: Account, before: Account) -> bool:
    return (
        account.metadata is not before.metadata or account.status is not before.status or account.floor != before.floor
    )


async def write_holds(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Queue new holds and ends of holds; a hold placed and ended in one batch is written once, ended."""
    last: dict[UUID, Hold] = {}
    placed: set[UUID] = set()
    for outcome in outcomes:
        if outcome.hold is not None:
            last[outcome.hold.id] = outcome.hold
            if outcome.hold.state is HoldState.PENDING:
                placed.add(outcome.hold.id)
    fresh = [hold for id_, hold in last.items() if id_ in placed]
    ended = [hold for id_, hold in last.items() if id_ not in placed]
    if fresh:
        await connection.execute(HOLD, hold_arrays(fresh))
    if ended:
        await connection.execute(
            _END_HOLD,
            [plain([h.id for h in ended]), plain([h.captured for h in ended]), plain([h.state.value for h in ended])],
        )


async def write_reversals(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """Queue the rows that make a second reversal impossible."""
    reversals = [o.transaction for o in outcomes if o.transaction.reverses is not None]
    if reversals:
        await connection.execute(REVERSAL, [plain([t.reverses for t in reversals]), plain([t.id for t in reversals])])


async def write_and_commit(
    connection: Connection,
    outcomes: Sequence[Outcome],
    before: dict[UUID, Account],
    evaluated: datetime,
    longest: timedelta = LONGEST_EVALUATION,
) -> None:
    """Write `outcomes` in the open transaction and commit it. `before` are the accounts as they were loaded.

    The insertion into `txn` comes first and plainly: its primary key is the gate through which a request passes once.
    Raises what the driver raises; after an error at the commit the outcome is unknown. Where `evaluated`, the
    database's time that was read with the accounts, is more than `longest` ago, the database refuses (22012).
    """
    async with connection.pipeline():
        await connection.execute(TXN, transaction_arrays(outcomes))
        await write_accounts(connection, outcomes, before)
        await connection.execute(ENTRY, entry_arrays(outcomes))
        await write_holds(connection, outcomes)
        await write_reversals(connection, outcomes)
        await connection.execute(OUTBOX, outbox_arrays(outcomes))
        await connection.execute(_FRESH, (evaluated + longest,))
        await connection.execute("COMMIT", prepare=False)
