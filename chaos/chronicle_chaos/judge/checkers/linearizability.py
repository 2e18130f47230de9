"""Each account behaves as if its operations happened one at a time, each between its request and its answer.

In general that is hard to decide (Porcupine and Knossos search for an order). Here the ledger itself names the order:
every write carries the version it made, dense from 1, and every read the version it saw. So it is enough that the
order of versions agrees with real time, which one sweep over the operations decides: an operation that began after
another had ended must not come before it. (Gibbons and Korach, "Testing shared memories", 1997: verifying
linearizability is linear where the order of writes and the write each read saw are known.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.checkers.refusals import SETTLING, Step, refusals, unexplained
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.final import FinalAccount
from chronicle_chaos.record.history import WRITES, Operation


@dataclass(frozen=True, slots=True)
class Linearizability:
    """Per account: versions are dense, running sums are right, real time agrees with versions, reads show the state
    of the version they name, expected versions were honoured, and every refusal has a state that explains it."""

    name: str = "linearizability"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge account by account."""
        reads = case.reads
        problems: list[str] = []
        by_account = {account.id: steps_of(account.id, case.history.clients) for account in reads.accounts.values()}
        for account in reads.accounts.values():
            steps = by_account[account.id]
            problems += broken_chain(account)
            problems += out_of_order(account.id, steps)
            problems += made_twice(account.id, steps)
            problems += wrong_reads(account, case.history.clients)
        problems += ignored_expectations(case.history.writes)
        refused = refusals(case.history.writes)
        settling = [o for o in case.history.writes if o.f in SETTLING]
        problems += unexplained(refused, reads.accounts, by_account, settling)
        steps_total = sum(map(len, by_account.values()))
        if not steps_total:
            raise CannotTell("no operation on an account was answered")
        return conclude(
            self.name, problems, f"{steps_total} steps on {len(reads.accounts)} accounts have one order each",
            steps=steps_total, accounts=len(reads.accounts), refusals=len(refused),
        )  # fmt: skip


def steps_of(account: str, operations: Iterable[Operation]) -> list[Step]:
    """What was done to one account and answered. A replay is no step: it repeats an answer of the past."""
    steps = []
    for o in operations:
        if o.outcome != "ok" or o.completed_ns is None:
            continue
        if o.f == "read" and o.asked["account_id"] == account:
            steps.append(Step(o.answered["version"], o.invoked_ns, o.completed_ns, f"read by {o.process}", wrote=False))
        elif o.f in WRITES:
            steps += [
                Step(e["version"], o.invoked_ns, o.completed_ns, f"{o.f} {o.key}", wrote=True)
                for e in o.answered.get("entries", ())
                if e["account_id"] == account
            ]
    return steps


def out_of_order(account: str, steps: Iterable[Step]) -> list[str]:
    """Steps that began after another had ended, and yet come before it."""
    # At equal times an end counts as after a beginning: only certain contradictions are reported.
    moments = sorted(
        [(s.began_ns, 0, s) for s in steps] + [(s.ended_ns, 1, s) for s in steps], key=lambda m: (m[0], m[1])
    )
    newest: Step | None = None
    bound: dict[int, Step | None] = {}
    problems: list[str] = []
    for _, ends, step in moments:
        if not ends:
            bound[id(step)] = newest
            continue
        before = bound[id(step)]
        if before is not None and (step.version < before.version or (step.wrote and step.version == before.version)):
            problems.append(
                f"account {account}: {step.what} (version {step.version}) began after {before.what}"
                f" (version {before.version}) had been answered"
            )
        if newest is None or step.version > newest.version:
            newest = step
    return problems


def made_twice(account: str, steps: Iterable[Step]) -> list[str]:
    """Two writes that were both told they had made the same version: one of them has overwritten the other."""
    first: dict[int, Step] = {}
    return [
        f"account {account}: {first[step.version].what} and {step.what} both made version {step.version}"
        for step in steps
        if step.wrote and first.setdefault(step.version, step) is not step
    ]


def broken_chain(account: FinalAccount) -> list[str]:
    """Versions that are missing or double, and running sums that are wrong."""
    problems: list[str] = []
    balance = held = 0
    for wanted, entry in enumerate(account.entries, 1):
        if entry["version"] != wanted:
            return [*problems, f"account {account.id}: entry {wanted} has version {entry['version']}"]
        balance, held = balance + entry["amount"], held + entry["held"]
        if (entry["balance_after"], entry["held_after"]) != (balance, held):
            problems.append(
                f"account {account.id} at version {wanted}: balance {entry['balance_after']} and held"
                f" {entry['held_after']}, its entries sum to {balance} and {held}"
            )
            balance, held = entry["balance_after"], entry["held_after"]
    if len(account.entries) < account.version:
        problems.append(f"account {account.id} is at version {account.version} with {len(account.entries)} entries")
    elif account.entries:
        last = account.entries[account.version - 1]
        if (last["balance_after"], last["held_after"]) != (account.balance, account.held):
            problems.append(
                f"account {account.id} has balance {account.balance} and held {account.held}, its entry of version"
                f" {account.version} says {last['balance_after']} and {last['held_after']}"
            )
    return problems


def wrong_reads(account: FinalAccount, operations: Iterable[Operation]) -> list[str]:
    """Reads whose balance is not that of the version they name."""
    by_version = {e["version"]: (e["balance_after"], e["held_after"]) for e in account.entries}
    problems = []
    for o in operations:
        if o.f != "read" or o.outcome != "ok" or o.asked["account_id"] != account.id:
            continue
        seen, true = (o.answered["balance"], o.answered["held"]), by_version.get(o.answered["version"])
        if seen != true:
            problems.append(
                f"account {account.id}: a read at version {o.answered['version']} saw balance and held {seen},"
                f" the entries say {true}"
            )
    return problems


def ignored_expectations(writes: Iterable[Operation]) -> list[str]:
    """Writes that were to happen at one version of an account and happened at another."""
    problems = []
    for o in writes:
        expected = o.asked.get("expected_version")
        if expected is None or o.outcome != "ok":
            continue
        account = o.asked.get("source") or o.asked.get("account_id")
        made = [e["version"] for e in o.answered.get("entries", ()) if e["account_id"] == account]
        if made != [expected + 1]:
            problems.append(f"{o.f} {o.key} expected version {expected} of {account} and made {made}")
    return problems
