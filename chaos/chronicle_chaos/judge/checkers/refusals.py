"""Whether a state of the ledger explains each refusal.

A refusal says something about a state: so much was available, the account was at that version. One of the states that
were possible between the request and its answer has to be the one. Which were possible follows from the versions that
other operations made or saw: the state is no older than what had been answered before, and no newer than what was begun
afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chronicle_chaos.record.final import FinalAccount
from chronicle_chaos.record.history import WRITES, Operation

SPENDING = frozenset({"transfer", "withdrawal", "hold"})
SETTLING = frozenset({"capture", "release"})


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one account. `wrote` tells a write, which made `version`, from a read, which saw it."""

    version: int
    began_ns: int
    ended_ns: int
    what: str
    wrote: bool


def refusals(operations: Iterable[Operation]) -> list[Operation]:
    """The writes that the ledger refused for good. A key that it does not know (401, 403) is no matter of states."""
    return [
        o
        for o in operations
        if o.f in WRITES and o.outcome != "ok" and o.answered_for_good and o.code and o.status not in {401, 403}
    ]


def unexplained(
    refused: Sequence[Operation],
    accounts: Mapping[str, FinalAccount],
    steps: Mapping[str, Sequence[Step]],
    settling: Sequence[Operation],
) -> list[str]:
    """Say of each refusal that no state explains what is wrong with it. `settling`: what was asked of holds."""
    return [problem for o in refused for problem in _judge(o, accounts, steps, settling)]


def _judge(
    o: Operation,
    accounts: Mapping[str, FinalAccount],
    steps: Mapping[str, Sequence[Step]],
    settling: Sequence[Operation],
) -> Iterator[str]:
    if o.code == "hold_not_pending":
        yield from _settled(o, settling)
        return
    name = o.asked.get("source") or o.asked.get("account_id")
    if o.code not in {"insufficient_funds", "version_conflict"}:
        yield f"{o.f} {o.key} was refused with {o.code}, for which nothing in this run gives a reason"
    elif name is None:
        yield f"{o.f} {o.key} was refused with {o.code}, and takes nothing from an account"
    elif name in accounts:  # of what could not be read nobody knows
        account = accounts[name]
        versions = _possible(o, account, steps.get(name, ()))
        judged = _funds(o, account, versions) if o.code == "insufficient_funds" else _version(o, account, versions)
        yield from (f"account {name}: {o.f} {o.key} {problem}" for problem in judged)


def _possible(o: Operation, account: FinalAccount, steps: Iterable[Step]) -> range:
    """Return the versions that the account may have been at when it refused."""
    ended = o.invoked_ns if o.ended_ns is None else o.ended_ns
    oldest, newest = 1, account.version
    for step in steps:
        if step.ended_ns < o.invoked_ns:
            oldest = max(oldest, step.version)
        elif step.began_ns > ended:
            newest = min(newest, step.version - step.wrote)
    return range(oldest, max(oldest, newest) + 1)


def _funds(o: Operation, account: FinalAccount, versions: range) -> Iterator[str]:
    amount = o.asked.get("amount")
    if o.f not in SPENDING or amount is None:
        yield f"was refused for lack of funds, and takes none of account {account.id}"
        return
    yield from _misnamed(o, {"account_id": account.id, "required": amount, "floor": account.floor})
    if account.floor is None:
        yield f"of {amount} was refused for lack of funds, and the account has no floor"
        return
    available = {e["version"]: e["balance_after"] - e["held_after"] for e in account.entries}
    states = [available[version] for version in versions if version in available]
    named = _named(o).get("available")
    if states and named is not None and named not in states:
        yield f"was told that {named} was available, which never was at {_words(versions)} (there: {_some(states)})"
    elif states and (min(states) if named is None else named) - amount >= account.floor:
        least = min(states) if named is None else named
        yield f"of {amount} was refused, but at {_words(versions)} at least {least} was available"


def _version(o: Operation, account: FinalAccount, versions: range) -> Iterator[str]:
    expected = o.asked.get("expected_version")
    if expected is None:
        yield "was refused for its version, and expected none"
        return
    yield from _misnamed(o, {"account_id": account.id, "expected_version": expected})
    named = _named(o).get("version")
    if named is not None and named not in versions:
        yield f"was told that the account is at version {named}, but it was at {_words(versions)}"
    elif expected == named or set(versions) == {expected}:
        yield f"expected version {expected} and was refused, but the account was at {_words(versions)}"


def _settled(o: Operation, settling: Iterable[Operation]) -> Iterator[str]:
    """A hold that is not pending was settled: by another operation that began before this one had its answer."""
    ended = o.invoked_ns if o.ended_ns is None else o.ended_ns
    others = (it for it in settling if it is not o and it.asked.get("hold_id") == o.asked.get("hold_id"))
    if not any(it.outcome != "fail" and it.invoked_ns < ended for it in others):
        yield f"{o.f} {o.key} was refused, but nothing else had settled hold {o.asked.get('hold_id')}"


def _misnamed(o: Operation, right: Mapping[str, object]) -> Iterator[str]:
    for name, value in right.items():
        if name in _named(o) and _named(o)[name] != value:
            yield f"was told {name} {_named(o)[name]}, where it is {value}"


def _named(o: Operation) -> Mapping[str, object]:
    found: Mapping[str, object] = o.answered.get("refusal") or {}
    return found


def _words(versions: range) -> str:
    return f"version {versions[0]}" if len(versions) == 1 else f"versions {versions[0]} to {versions[-1]}"


def _some(states: Sequence[int]) -> str:
    return ", ".join(str(it) for it in states[:5]) + (", …" if len(states) > 5 else "")
