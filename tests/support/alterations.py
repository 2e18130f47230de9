"""What somebody with SQL can do to a ledger's rows: each table, each column, each kind of row.

`seed` fills one ledger with every kind of row. An alteration names what it changes and where the proof must locate it.
"""

# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.domain.account import AccountStatus, system_account_ids
from chronicle_ledger.domain.commands import CaptureHold, Command, PlaceHold, ReleaseHold, Reverse, UpdateAccount
from chronicle_ledger.seals.sealer import Sealer
from support.event_bench import EventBench
from support.ledger_bench import account_named, command, deposit, transfer

ACCOUNT, OTHER, QUIET = (account_named(f"account {number}") for number in (1, 2, 3))
ZERO = UUID(int=0)
STRANGER = account_named("of no transaction")


@dataclass(frozen=True, slots=True)
class Alteration:
    """`statements` do it, with names of the seeded ledger in braces. `check` must fail with a difference in `table`
    whose values hold `key`, among the first that it locates."""

    table: str
    what: str
    statements: tuple[str, ...]
    check: str
    key: str
    located_in: str = ""
    """Where the difference shows, if not in `table` itself."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.table}: {self.what}"


def _set(table: str, where: str, check: str, key: str, **columns: str) -> list[Alteration]:
    return [
        Alteration(
            table,
            f"{column} = {value} where {where}",
            (f"UPDATE {table} SET {column} = {value} WHERE {where}",),
            check,
            key,
        )
        for column, value in columns.items()
    ]


_NOW = "now()"
_DAY_BEFORE = "'2001-01-01'"

ACCOUNTS = [
    *_set("account", "id = '{account}'", "running_sums", "{account}", balance="balance + 1", held="held + 1"),
    *_set("account", "id = '{account}'", "dense_versions", "{account}", version="version + 1"),
    *_set("account", "id = '{account}'", "floors", "{account}", floor="-5"),
    *_set("account", "id = '{account}'", "heads", "{account}", head="'\\x00'::BYTEA"),
    *_set(
        "account", "id = '{account}'", "state", "{account}", currency="'USD'", kind="'system'", status="'closed'",
        metadata="'{{\"owner\":\"x\"}}'", created_at=_DAY_BEFORE, updated_at=_DAY_BEFORE,
    ),
    *_set("account", "id = '{outside}'", "state", "{outside}", status="'frozen'", kind="'customer'"),
    *_set("account", "id = '{updated}'", "state", "{updated}", metadata="'{{ }}'"),
    *_set("account", "id = '{quiet}'", "state", "{quiet}", metadata="'nonsense'", created_at="'infinity'"),
    Alteration("account", "its id becomes the lowest", ("UPDATE account SET id = '{zero}' WHERE id = '{account}'",),
        "state", "{zero}"),
    Alteration("account", "taken away", ("DELETE FROM account WHERE id = '{account}'",), "running_sums", "{account}"),
    Alteration("account", "opened by nobody, without a floor", (
        ("INSERT INTO account (id, currency, kind, balance, held, floor, version, status, head, metadata, created_at,"
        " updated_at) SELECT '{stranger}', 'EUR', 'customer', 0, 0, NULL, 0, 'open', '\\x{genesis}'::BYTEA, '{{}}',"
        " created_at, updated_at FROM account WHERE id = '{account}'"),
    ), "state", "{stranger}"),
    Alteration("account", "opened by nobody, with the lowest id", (
        ("INSERT INTO account (id, currency, kind, balance, held, floor, version, status, head, metadata, created_at,"
        " updated_at) SELECT '{zero}', 'EUR', 'customer', 0, 0, NULL, 0, 'open', '\\x{genesis}'::BYTEA, '{{}}',"
        " created_at, updated_at FROM account WHERE id = '{account}'"),
    ), "state", "{zero}"),
]  # fmt: skip

_ZERO_TXN = (
    "INSERT INTO txn (id, fingerprint, kind, reverses, hold_id, effective_at, posted_at, metadata, details, hash)"
    " SELECT '{zero}', fingerprint, kind, NULL, NULL, effective_at, posted_at, '{{}}', '{{}}', '\\x{forged}'::BYTEA"
    " FROM txn WHERE id = '{txn}'"
)


def _zero_entry(account: str, amount: int) -> str:
    return (
        "INSERT INTO entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)"
        f" SELECT a.id, a.version + 1, '{{zero}}', a.currency, {amount}, 0, a.balance + {amount}, a.held, t.posted_at"
        f" FROM account a, txn t WHERE a.id = '{account}' AND t.id = '{{zero}}'"
    )


def _zero_account(account: str, amount: int) -> str:
    return (
        f"UPDATE account SET balance = balance + {amount}, version = version + 1, head = '\\x{{forged}}'::BYTEA,"
        " updated_at = (SELECT posted_at FROM txn WHERE id = '{zero}')"
        f" WHERE id = '{account}'"
    )


TRANSACTIONS = [
    *_set(
        "txn", "id = '{txn}'", "chain", "{txn}", fingerprint="'\\x00'::BYTEA", kind="'journal'", reverses="'{other}'",
        hold_id="'{other}'", effective_at=_DAY_BEFORE, posted_at=_DAY_BEFORE, metadata="'{{\"note\":\"forged\"}}'",
        details="'{{\"a\":1}}'", hash="'\\x00'::BYTEA", posted_by="'somebody else'",
    ),
    *(
        Alteration("txn", what, (f"UPDATE txn SET {change} WHERE id = '{{txn}}'",), "chain", "{txn}")
        for what, change in (
            ("a kind that there is not", "kind = 'nonsense'"),
            ("metadata that are not JSON", "metadata = 'nonsense'"),
            ("metadata that are a list", "metadata = '[1]'"),
            ("metadata of other bytes", "metadata = '{{ }}'"),
            ("metadata with a member twice", "metadata = '{{\"a\":1,\"a\":1}}'"),
            ("metadata without a number", "metadata = '{{\"a\":NaN}}'"),
            ("metadata nested deeply", "metadata = '{{\"a\":' || repeat('[', 20000) || repeat(']', 20000) || '}}'"),
            ("metadata of 5,000 digits", "metadata = '{{\"a\":' || repeat('9', 5000) || '}}'"),
            ("details that are not JSON", "details = ''"),
            ("posted at no time", "posted_at = 'infinity'"),
            ("effective before Christ", "effective_at = '0044-03-15 00:00:00+00 BC'"),
        )
    ),
    *(
        Alteration("txn", f"an opening {what}", (f"UPDATE txn SET details = {value} WHERE id = '{{opening}}'",),
            "state", "{opening}")
        for what, value in (
            ("whose details are a list", "'[]'"),
            ("whose details are not JSON", "'nonsense'"),
            ("whose floor is a text", "replace(details, '\"floor\":null', '\"floor\":\"x\"')"),
            ("whose metadata is a number", "replace(details, '\"metadata\":{{}}', '\"metadata\":5')"),
            ("of another account", "replace(details, '{account}', '{other}')"),
            ("that says less", "'{{\"account_id\":\"{account}\"}}'"),
        )
    ),
    Alteration("txn", "an opening that is a transfer", ("UPDATE txn SET kind = 'transfer' WHERE id = '{opening}'",),
        "state", "{opening}", "account"),
    Alteration("txn", "a transfer that opens", ("UPDATE txn SET kind = 'account_opened' WHERE id = '{txn}'",),
        "state", "{txn}", "account"),
    Alteration("txn", "taken away", ("DELETE FROM txn WHERE id = '{txn}'",), "chain", "{txn}"),
    Alteration("txn", "taken away with its entries", (
        "DELETE FROM entry WHERE txn_id = '{txn}'", "DELETE FROM txn WHERE id = '{txn}'",
    ), "dense_versions", "{account}", "entry"),
    Alteration("txn", "its id becomes the lowest, everywhere", (
        "UPDATE entry SET txn_id = '{zero}' WHERE txn_id = '{txn}'", "UPDATE txn SET id = '{zero}' WHERE id = '{txn}'",
    ), "chain", "{zero}"),
    Alteration("txn", "money forged under the lowest id", (
        _ZERO_TXN, _zero_entry("{account}", 5), _zero_entry("{other}", -5), _zero_account("{account}", 5),
        _zero_account("{other}", -5),
    ), "chain", "{zero}"),
    Alteration("txn", "two exchange their hashes", (
        ("UPDATE txn SET hash = CASE id WHEN '{txn}' THEN (SELECT hash FROM txn WHERE id = '{opening}')"
        " ELSE (SELECT hash FROM txn WHERE id = '{txn}') END WHERE id IN ('{txn}', '{opening}')"),
    ), "chain", "{txn}"),
    Alteration("txn", "added without entries", (_ZERO_TXN,), "chain", "{zero}"),
]  # fmt: skip

ENTRIES = [
    *(
        alteration
        for column, value, check in (
            ("amount", "amount + 1", "running_sums"),
            ("held", "held + 1", "running_sums"),
            ("balance_after", "balance_after + 1", "running_sums"),
            ("held_after", "held_after + 1", "running_sums"),
            ("posted_at", _DAY_BEFORE, "chain"),
            ("version", "version + 1000", "dense_versions"),
            ("account_id", "'{zero}'", "dense_versions"),
        )
        for alteration in _set("entry", "txn_id = '{txn}' AND account_id = '{account}'", check, "{account}",
            **{column: value})
    ),
    Alteration("entry", "currency", ("UPDATE entry SET currency = 'USD' WHERE txn_id = '{txn}'",), "chain", "{txn}",
        "txn"),
    Alteration("entry", "dated at no time", (
        "UPDATE entry SET posted_at = 'infinity' WHERE txn_id = '{txn}' AND account_id = '{account}'",
    ), "chain", "{txn}"),
    Alteration("entry", "of another transaction", (
        "UPDATE entry SET txn_id = '{opening}' WHERE txn_id = '{txn}' AND account_id = '{account}'",
    ), "chain", "{opening}", "txn"),
    Alteration("entry", "of no transaction", (
        "UPDATE entry SET txn_id = '{stranger}' WHERE txn_id = '{txn}' AND account_id = '{account}'",
    ), "chain", "{stranger}", "txn"),
    Alteration("entry", "taken away", ("DELETE FROM entry WHERE txn_id = '{txn}' AND account_id = '{account}'",),
        "dense_versions", "{account}"),
    Alteration("entry", "added after the last", (
        ("INSERT INTO entry SELECT account_id, version + 1000, txn_id, currency, amount, held, balance_after,"
        " held_after, posted_at FROM entry WHERE txn_id = '{txn}' AND account_id = '{account}'"),
    ), "dense_versions", "{account}"),
    Alteration("entry", "added before the first, on the lowest id", (
        ("INSERT INTO entry SELECT '{zero}', -1, txn_id, currency, amount, held, balance_after, held_after, posted_at"
        " FROM entry WHERE txn_id = '{txn}' AND account_id = '{account}'"),
    ), "dense_versions", "{zero}"),
    Alteration("entry", "two exchange their versions", (
        "UPDATE entry SET version = version + 1000 WHERE account_id = '{account}' AND version = 2",
        "UPDATE entry SET version = 2 WHERE account_id = '{account}' AND version = 3",
        "UPDATE entry SET version = 3 WHERE account_id = '{account}' AND version = 1002",
    ), "chain", "{txn}", "txn"),
]  # fmt: skip

HOLDS = [
    *(
        alteration
        for state, changes in (
            ("captured", {"state": "'pending'", "captured": "captured + 1"}),
            ("released", {"state": "'expired'"}),
            ("expired", {"state": "'pending'"}),
            ("pending", {
                "state": "'released'", "amount": "amount + 1", "account_id": "'{other}'", "destination_id": "NULL",
                "expires_at": "NULL", "expiry_shard": "99",
            }),
        )
        for alteration in _set("hold", f"id = '{{{state}}}'", "holds", f"{{{state}}}", **changes)
    ),
    *_set("hold", "id = '{pending}'", "holds", "{zero}", id="'{zero}'"),
    Alteration("hold", "expires at no time", ("UPDATE hold SET expires_at = 'infinity' WHERE id = '{pending}'",),
        "holds", "{pending}"),
    Alteration("hold", "taken away", ("DELETE FROM hold WHERE id = '{pending}'",), "holds", "{pending}"),
    Alteration("hold", "added", (
        ("INSERT INTO hold (id, account_id, amount, captured, state, expiry_shard)"
        " VALUES ('{zero}', '{account}', 1, 0, 'pending', 0)"),
    ), "holds", "{zero}"),
    *_set("reversal", "reverses = '{reversed}'", "reversals", "{reversed}", txn_id="'{other}'", reverses="'{zero}'"),
    Alteration("reversal", "taken away", ("DELETE FROM reversal",), "reversals", "{reversed}"),
    Alteration("reversal", "added", ("INSERT INTO reversal (reverses, txn_id) VALUES ('{zero}', '{other}')",),
        "reversals", "{zero}"),
]  # fmt: skip

OUTBOX = [
    *_set("outbox", "id = '{waiting}'", "stream", "{waiting}", payload="'nonsense'", shard="99",
        created_at=_DAY_BEFORE),
    *_set("outbox", "id = '{waiting}'", "stream", "{waiting}", id="'{zero}'"),
    Alteration("outbox", "dated at no time", ("UPDATE outbox SET created_at = 'infinity' WHERE id = '{waiting}'",),
        "stream", "{waiting}"),
    Alteration("outbox", "taken away", ("DELETE FROM outbox WHERE id = '{waiting}'",), "stream", "{waiting}"),
    Alteration("outbox", "added with the lowest key", (
        "INSERT INTO outbox (shard, id, payload, created_at) VALUES (-32768, '{zero}', '{{}}', now())",
    ), "stream", "{zero}"),
    Alteration("outbox", "two exchange their payloads", (
        "UPDATE outbox SET payload = (SELECT payload FROM outbox WHERE id = '{waiting_too}') WHERE id = '{waiting}'",
    ), "stream", "{waiting}"),
]  # fmt: skip

VIEWS = [
    *_set("account_view", "account_id = '{account}'", "view", "{account}", currency="'USD'", kind="'system'",
        balance="balance + 1", held="held + 1", posted_at=_DAY_BEFORE),
    Alteration("account_view", "version", (
        "UPDATE account_view SET version = version + 1000 WHERE account_id = '{account}'",
    ), "view", "{account}"),
    *_set("account_view", "account_id = '{account}'", "view", "{zero}", account_id="'{zero}'"),
    Alteration("account_view", "dated at no time", (
        "UPDATE account_view SET posted_at = 'infinity' WHERE account_id = '{account}'",
    ), "view", "{account}"),
    Alteration("account_view", "added", (
        ("INSERT INTO account_view SELECT generation, '{zero}', currency, kind, balance, held, version, posted_at"
        " FROM account_view WHERE account_id = '{account}'"),
    ), "view", "{zero}"),
    Alteration("account_view", "taken away", ("DELETE FROM account_view WHERE account_id = '{account}'",), "view",
        "{account}", "statement_view"),
    *_set("statement_view", "account_id = '{account}' AND version = 3", "view", "{account}", txn_id="'{zero}'",
        kind="'deposit'", amount="amount + 1", held="held + 1", balance_after="balance_after + 1",
        held_after="held_after + 1", effective_at=_DAY_BEFORE, posted_at=_DAY_BEFORE, posted_by="'somebody else'",
        version="-3"),
    *_set("statement_view", "account_id = '{account}' AND version = 3", "view", "{zero}", account_id="'{zero}'"),
    Alteration("statement_view", "effective before Christ", (
        ("UPDATE statement_view SET effective_at = '0044-03-15 00:00:00+00 BC' WHERE account_id = '{account}'"
        " AND version = 3"),
    ), "view", "{account}"),
    Alteration("statement_view", "taken away", (
        "DELETE FROM statement_view WHERE account_id = '{account}' AND version = 3",
    ), "view", "{account}"),
    *_set("daily_view", "account_id = '{account}'", "view", "{account}", day="'2001-01-01'", debits="debits + 0.5",
        credits="'NaN'", entries="entries + 1", closing_balance="closing_balance + 1"),
    *_set("daily_view", "account_id = '{account}'", "view", "{zero}", account_id="'{zero}'"),
    Alteration("daily_view", "a day before Christ added", (
        ("INSERT INTO daily_view SELECT generation, '{zero}', '0044-03-15 BC', debits, credits, entries,"
        " closing_balance FROM daily_view WHERE account_id = '{account}'"),
    ), "view", "{zero}"),
    Alteration("daily_view", "taken away", ("DELETE FROM daily_view WHERE account_id = '{account}'",), "view",
        "{account}"),
    Alteration("view_current", "id", ("UPDATE view_current SET id = 2",), "view", ""),
    Alteration("view_current", "generation", ("UPDATE view_current SET generation = 99",), "view", "", "account_view"),
    Alteration("view_current", "taken away", ("DELETE FROM view_current",), "view", ""),
    Alteration("view_current", "added", ("INSERT INTO view_current (id, generation) VALUES (2, 1)",), "view", ""),
]  # fmt: skip

SERVICE = [
    Alteration("lease", "held for ever", ("UPDATE lease SET expires_at = '9999-01-01' WHERE name = '{lease}'",),
        "service", "{lease}"),
    Alteration("lease", "held till no time", ("UPDATE lease SET expires_at = 'infinity' WHERE name = '{lease}'",),
        "service", "{lease}"),
    Alteration("worker", "lives for ever", (
        "INSERT INTO worker (role, id, expires_at) VALUES ('relay', 'nobody', '9999-01-01')",
    ), "service", "relay/nobody"),
    Alteration("schema_lease", "held for ever", (
        "INSERT INTO schema_lease (id, holder, until) VALUES (7, '{zero}', '9999-01-01')",
    ), "service", "7"),
    *_set("projection", "name = 'projector'", "service", "projector", pending="-1", applied="-1", skipped="-1",
        gaps="-1", dead="-1", stream_sequence="-1", posted_at="'9999-01-01'", updated_at="'2001-01-01'"),
    Alteration("projection", "added", (
        ("INSERT INTO projection (name, stream_sequence, pending, applied, skipped, gaps, dead, updated_at)"
        " VALUES ('another', 0, 0, 0, 0, 0, 0, now())"),
    ), "service", "another"),
    *_set("schema_migration", "version = 2", "service", "2", name="'other'", checksum="'00'",
        applied_at="'9999-01-01'"),
    Alteration("schema_migration", "taken away", ("DELETE FROM schema_migration WHERE version = 2",), "service", "2"),
]  # fmt: skip

SEALS = [
    *_set("seal", "number = 1", "seals", "", document="replace(document, '\"number\":1', '\"number\":2')"),
    *_set("seal", "number = 1", "seals", "", number="2"),
    Alteration("seal", "nonsense", ("UPDATE seal SET document = 'nonsense' WHERE number = 1",), "seals", ""),
    Alteration("seal", "taken away", ("DELETE FROM seal WHERE number = 1",), "seals", ""),
    *(
        Alteration("sealed_account", what, (change,), "seals", "", "seal")
        for what, change in (
            ("version", "UPDATE sealed_account SET version = version + 1 WHERE account_id = '{account}'"),
            ("head", "UPDATE sealed_account SET head = '\\x00'::BYTEA WHERE account_id = '{account}'"),
            ("account_id", "UPDATE sealed_account SET account_id = '{zero}' WHERE account_id = '{account}'"),
            ("number", "UPDATE sealed_account SET number = -1 WHERE account_id = '{account}'"),
            ("taken away", "DELETE FROM sealed_account WHERE account_id = '{account}'"),
            ("added", "INSERT INTO sealed_account VALUES (1, '{zero}', 1, '\\x{genesis}'::BYTEA)"),
        )
    ),
]  # fmt: skip

ALTERATIONS = [*ACCOUNTS, *TRANSACTIONS, *ENTRIES, *HOLDS, *OUTBOX, *VIEWS, *SERVICE, *SEALS]


async def seed(bench: EventBench) -> dict[str, object]:
    """Fill a ledger with every kind of row: posted, published, projected, sealed, and some that still waits. Return the
    names that alterations use."""

    def place(name: str, **fields: object) -> PlaceHold:
        return command(PlaceHold, f"hold {name}", account_id=ACCOUNT, amount=10, **fields)

    holds = {name: place(name).id for name in ("captured", "released", "expired", "pending")}
    reversed_ = transfer("reversed", ACCOUNT, OTHER, 3)
    first = transfer("first", ACCOUNT, OTHER, 4, metadata={"note": "as posted"})
    commands: list[Command] = [
        deposit("deposit", ACCOUNT, 100),
        first,
        reversed_,
        command(Reverse, "reverse", transaction_id=reversed_.id),
        place("captured"),
        place("released"),
        place("expired", lasts=timedelta(microseconds=1)),
        place("pending", destination_id=OTHER, lasts=timedelta(days=1)),
        command(CaptureHold, "capture", hold_id=holds["captured"], amount=7),
        command(ReleaseHold, "release", hold_id=holds["released"]),
        command(ReleaseHold, "expire", hold_id=holds["expired"], expired=True),
        command(UpdateAccount, "update", account_id=OTHER, status=AccountStatus.OPEN, account_metadata={"a": [1, 2]}),
    ]
    async with bench.running(bench.relay()), bench.running(bench.projector()):
        for one in commands:
            await bench.posting.submit(one)
        await bench.caught_up()
    await Sealer(bench.database, Ed25519PrivateKey.generate(), lambda: datetime.now(UTC)).into_database()
    waiting = [transfer(f"waiting {number}", ACCOUNT, OTHER, 1) for number in range(2)]
    for last in waiting:
        await bench.posting.submit(last)
    opening = await bench.one("SELECT txn_id FROM entry WHERE account_id = %s AND version = 1", ACCOUNT)
    lease = await bench.one("SELECT min(name) FROM lease")
    return {
        **holds, "account": ACCOUNT, "other": OTHER, "updated": OTHER, "quiet": QUIET, "zero": ZERO,
        "stranger": STRANGER, "outside": system_account_ids("EUR")[0], "txn": first.id, "opening": opening[0],
        "reversed": reversed_.id, "waiting": waiting[0].id, "waiting_too": waiting[1].id, "lease": lease[0],
        "genesis": "00" * 32, "forged": "ab" * 32,
    }  # fmt: skip
