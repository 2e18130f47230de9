"""Writing the read model: the projector, `rebuild` and `reconcile` alone do. Each call is part of a transaction that
its caller opened and that began with `lock_generation`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from chronicle_ledger.domain.account import AccountKind, system_account_ids
from chronicle_ledger.store.arrays import plain, quoted
from chronicle_ledger.store.pool import Connection
from chronicle_ledger.store.view_rows import Progress, Projection, ViewEntry, ViewState

POSITION = "projector"

_ENTRY = (
    "e.account_id, e.currency, e.version, e.amount, e.held, e.balance_after, e.held_after, e.txn_id,"
    " t.kind, t.effective_at, t.posted_at, t.posted_by"
)
_STATEMENTS = (
    "INSERT INTO statement_view (generation, account_id, version, txn_id, kind, amount, held, balance_after,"
    " held_after, effective_at, posted_at, posted_by) SELECT %s::int8, * FROM unnest(%s::uuid[], %s::int8[],"
    " %s::uuid[], %s::text[], %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::timestamptz[], %s::timestamptz[],"
    " %s::text[])"
    " ON CONFLICT (generation, account_id, version) DO UPDATE SET txn_id = excluded.txn_id, kind = excluded.kind,"
    " amount = excluded.amount, held = excluded.held, balance_after = excluded.balance_after,"
    " held_after = excluded.held_after, effective_at = excluded.effective_at, posted_at = excluded.posted_at,"
    " posted_by = excluded.posted_by"
)
_ACCOUNTS = (
    "INSERT INTO account_view (generation, account_id, currency, kind, balance, held, version, posted_at)"
    " SELECT %s::int8, * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int8[], %s::int8[], %s::int8[],"
    " %s::timestamptz[])"
    " ON CONFLICT (generation, account_id) DO UPDATE SET currency = excluded.currency, kind = excluded.kind,"
    " balance = excluded.balance, held = excluded.held, version = excluded.version, posted_at = excluded.posted_at"
)
_DAYS = (
    "INSERT INTO daily_view (generation, account_id, day, debits, credits, entries, closing_balance)"
    " SELECT %s::int8, * FROM unnest(%s::uuid[], %s::date[], %s::decimal[], %s::decimal[], %s::int8[], %s::int8[])"
    " ON CONFLICT (generation, account_id, day) DO UPDATE SET debits = daily_view.debits + excluded.debits,"
    " credits = daily_view.credits + excluded.credits, entries = daily_view.entries + excluded.entries,"
    " closing_balance = excluded.closing_balance"
)


async def lock_generation(conn: Connection) -> int:
    """The generation that is read now; nobody else writes the read model until this transaction ends.

    Without the lock a batch could be committed into a generation that `rebuild` has just replaced, and be lost.
    """
    cursor = await conn.execute("SELECT generation FROM view_current WHERE id = 1 FOR UPDATE")
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("view_current has no row; run `chronicle migrate`")
    return int(row[0])


async def states(conn: Connection, generation: int, accounts: Sequence[UUID]) -> dict[UUID, ViewState]:
    """What the read model says of `accounts`; those it does not know are left out."""
    cursor = await conn.execute(
        "SELECT account_id, version, balance, held FROM account_view"
        " WHERE generation = %s AND account_id = ANY(%s::uuid[])",
        (generation, plain(accounts)),
        binary=True,
    )
    return {row[0]: ViewState(row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def ledger_entries(conn: Connection, wanted: Sequence[tuple[UUID, int]]) -> list[ViewEntry]:
    """The ledger's entries with these (account, version); those that do not exist are left out."""
    cursor = await conn.execute(
        f"SELECT {_ENTRY} FROM unnest(%s::uuid[], %s::int8[]) AS w(account_id, version)"  # noqa: S608
        " JOIN entry e ON e.account_id = w.account_id AND e.version = w.version JOIN txn t ON t.id = e.txn_id",
        (plain(account for account, _ in wanted), plain(version for _, version in wanted)),
        binary=True,
    )
    return [ViewEntry(*row) for row in await cursor.fetchall()]


async def ledger_versions(conn: Connection, accounts: Sequence[UUID]) -> dict[UUID, int]:
    """The ledger's own version of each of `accounts`; those that it does not know are left out."""
    cursor = await conn.execute(
        "SELECT id, version FROM account WHERE id = ANY(%s::uuid[])", (plain(accounts),), binary=True
    )
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def account_page(conn: Connection, account: UUID, version: int, limit: int) -> list[ViewEntry]:
    """Up to `limit` of the ledger's entries of `account` after `version`, in order."""
    cursor = await conn.execute(
        f"SELECT {_ENTRY} FROM entry e JOIN txn t ON t.id = e.txn_id"  # noqa: S608
        " WHERE e.account_id = %s AND e.version > %s ORDER BY e.version LIMIT %s",
        (account, version, limit),
        binary=True,
    )
    return [ViewEntry(*row) for row in await cursor.fetchall()]


async def write(conn: Connection, generation: int, projection: Projection) -> None:
    """Write what a batch does."""
    if not projection.applied:
        return
    # By key: a projector without the version rule may bring one version twice, and one statement may not write a row
    # twice.
    rows = {(e.account_id, e.version): e for own in projection.applied.values() for e in own}.values()
    await conn.execute(
        _STATEMENTS,
        (
            generation,
            plain(e.account_id for e in rows),
            plain(e.version for e in rows),
            plain(e.txn_id for e in rows),
            plain(e.kind for e in rows),
            plain(e.amount for e in rows),
            plain(e.held for e in rows),
            plain(e.balance_after for e in rows),
            plain(e.held_after for e in rows),
            quoted(e.effective_at.isoformat() for e in rows),
            quoted(e.posted_at.isoformat() for e in rows),
            quoted(e.posted_by for e in rows),
        ),
    )
    last = [own[-1] for own in projection.applied.values()]
    await conn.execute(
        _ACCOUNTS,
        (
            generation,
            plain(e.account_id for e in last),
            quoted(e.currency for e in last),
            plain(_kind(e.account_id, e.currency) for e in last),
            plain(e.balance_after for e in last),
            plain(e.held_after for e in last),
            plain(e.version for e in last),
            quoted(e.posted_at.isoformat() for e in last),
        ),
    )
    await _write_days(conn, generation, projection)


def _kind(account: UUID, currency: str) -> str:
    return (AccountKind.SYSTEM if account in system_account_ids(currency) else AccountKind.CUSTOMER).value


async def _write_days(conn: Connection, generation: int, projection: Projection) -> None:
    days: dict[tuple[UUID, date], list[int]] = {}
    for account, own in projection.applied.items():
        for e in own:
            sums = days.setdefault((account, e.posted_at.date()), [0, 0, 0, 0])
            sums[0 if e.amount < 0 else 1] += abs(e.amount)
            sums[2] += 1
            sums[3] = e.balance_after
    await conn.execute(
        _DAYS,
        (
            generation,
            plain(account for account, _ in days),
            plain(day for _, day in days),
            plain(sums[0] for sums in days.values()),
            plain(sums[1] for sums in days.values()),
            plain(sums[2] for sums in days.values()),
            plain(sums[3] for sums in days.values()),
        ),
    )


async def advance(conn: Connection, progress: Progress) -> None:
    """Move the projection's position, in the transaction that wrote what moved it."""
    await conn.execute(
        "INSERT INTO projection (name, stream_sequence, pending, posted_at, applied, skipped, gaps, dead, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now()) ON CONFLICT (name) DO UPDATE SET"
        " stream_sequence = excluded.stream_sequence, pending = excluded.pending,"
        " posted_at = COALESCE(excluded.posted_at, projection.posted_at),"
        " applied = projection.applied + excluded.applied, skipped = projection.skipped + excluded.skipped,"
        " gaps = projection.gaps + excluded.gaps, dead = projection.dead + excluded.dead, updated_at = now()",
        (
            POSITION, progress.stream_sequence, progress.pending, progress.posted_at, progress.applied,
            progress.skipped, progress.gaps, progress.dead,
        ),
    )  # fmt: skip
