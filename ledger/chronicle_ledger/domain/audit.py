"""Whether the books are right: judged from what is stored, by rules that the posting engine has no part in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from chronicle_ledger.domain.account import Account
from chronicle_ledger.domain.hashing import GENESIS, recompute
from chronicle_ledger.domain.transaction import Entry, Transaction


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `rule` is stable, `message` says where (ids, versions, minor units)."""

    rule: str
    message: str


def audit(accounts: Mapping[UUID, Account], transactions: Iterable[Transaction]) -> list[Fault]:
    """Every fault in the books; empty when all is well.

    Rules: `balanced` (entries of a transaction sum to zero in each currency), `dense` (an account's versions are 1 to
    n), `running` (each entry's `balance_after` and `held_after` follow from the one before), `state` (the account is
    as its last entry left it), `floor` (the account is not under its floor), `chain` (each hash covers what the
    transaction says and what came before it), `head` (the account's head is its last transaction's hash).
    """
    posted = {transaction.id: transaction for transaction in transactions}
    histories: dict[UUID, list[tuple[Entry, Transaction]]] = {account_id: [] for account_id in accounts}
    faults: list[Fault] = []
    for transaction in posted.values():
        faults.extend(_balanced(transaction))
        for entry in transaction.entries:
            histories.setdefault(entry.account_id, []).append((entry, transaction))
    before: dict[tuple[UUID, int], bytes] = {}
    for account_id, history in histories.items():
        history.sort(key=lambda pair: pair[0].version)
        faults.extend(_history(account_id, accounts.get(account_id), history))
        before.update({(account_id, entry.version): transaction.hash for entry, transaction in history})
    for transaction in posted.values():
        entries = tuple(
            replace(e, previous=GENESIS if e.version == 1 else before.get((e.account_id, e.version - 1), GENESIS))
            for e in transaction.entries
        )
        if recompute(replace(transaction, entries=entries)) != transaction.hash:
            faults.append(Fault("chain", f"transaction {transaction.id} is not what was posted, or its past is not"))
    return faults


def _balanced(transaction: Transaction) -> list[Fault]:
    sums: dict[str, int] = {}
    for entry in transaction.entries:
        sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount
    return [
        Fault("balanced", f"transaction {transaction.id} sums to {total} in {currency}")
        for currency, total in sums.items()
        if total
    ]


def _history(account_id: UUID, account: Account | None, history: list[tuple[Entry, Transaction]]) -> list[Fault]:
    faults = []
    balance = held = 0
    for expected, (entry, _) in enumerate(history, start=1):
        if entry.version != expected:
            faults.append(Fault("dense", f"account {account_id} has version {entry.version} where {expected} is due"))
            break
        balance += entry.amount
        held += entry.held
        if (entry.balance_after, entry.held_after) != (balance, held):
            faults.append(Fault("running", f"account {account_id} version {entry.version} should leave {balance}"))
            break
    if account is None:
        return [*faults, Fault("state", f"account {account_id} has entries but does not exist")]
    if (account.version, account.balance, account.held) != (len(history), balance, held):
        faults.append(
            Fault(
                "state",
                f"account {account_id} is at version {account.version} with {account.balance}, "
                f"its entries say {len(history)} with {balance}",
            )
        )
    if account.floor is not None and account.available < account.floor:
        faults.append(Fault("floor", f"account {account_id} has {account.available} under its floor {account.floor}"))
    if history and account.head != history[-1][1].hash:
        faults.append(Fault("head", f"account {account_id} does not end with the transaction it says"))
    return faults
