"""Histories made up for tests: a correct ledger's, drawn at random, and what a test then does to them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from chronicle_chaos.judge.checkers.base import Case
from chronicle_chaos.record.final import FinalAccount, FinalReads
from chronicle_chaos.record.history import NEMESIS, Event, EventType, History

SECOND = 1_000_000_000
LOAD_ON, BASELINE, STEADY, INJECT, PROVEN, HEAL, HEALED, RECOVERED, LOAD_OFF = (
    SECOND * s for s in (0, 2, 6, 6, 7, 20, 21, 24, 30)
)


@dataclass
class Story:
    """Events and final reads in the making. Amounts are minor units, times nanoseconds since the run began."""

    events: list[Event] = field(default_factory=list)
    final: FinalReads = field(default_factory=lambda: FinalReads(currency_total=0, proof=clean_proof(), lag_events=0))
    recovery_seconds: float = 60.0

    def event(self, t_ns: int, process: str, type: EventType, f: str, **more: Any) -> Event:  # noqa: A002
        """Add one event; order does not matter, `case` sorts."""
        event = Event(len(self.events), t_ns, "story", process, type, f, **more)
        self.events.append(event)
        return event

    def operation(
        self,
        f: str,
        asked: dict[str, Any],
        began: int,
        ended: int,
        outcome: EventType = "ok",
        answered: dict[str, Any] | None = None,
        *,
        process: str | None = None,
        key: str | None = None,
        target: str = "lb",
        status: int | None = 201,
        code: str | None = None,
    ) -> None:
        """Add an invocation and its completion."""
        process = process or f"client-{len(self.events)}"
        self.event(began, process, "invoke", f, key=key, value=asked, target=target, intended_ns=began)
        self.event(ended, process, outcome, f, key=key, value=answered or {}, target=target, status=status, code=code)

    def health(self, t_ns: int, status: str | None, target: str = "lb", **facts: Any) -> None:
        """Add a sample; status None is one that nobody answered."""
        self.operation(
            "health", {}, t_ns, t_ns + SECOND // 100, "ok" if status else "info",
            {"status": status, **facts} if status else {}, process=f"health-{target}", key=str(t_ns), target=target,
            status=200 if status else None,
        )  # fmt: skip

    def nemesis(self, *, proven: bool = True, recovered: bool = True) -> Story:
        """Add the usual course of a fault, at the moments named above."""
        self.event(LOAD_ON, NEMESIS, "invoke", "load")
        self.event(STEADY, NEMESIS, "ok", "steady", value={"since_ns": BASELINE})
        self.event(INJECT, NEMESIS, "invoke", "inject")
        self.event(INJECT + 1, NEMESIS, "ok", "inject")
        if proven:
            self.event(PROVEN, NEMESIS, "ok", "prove")
        self.event(HEAL, NEMESIS, "invoke", "heal")
        self.event(HEALED, NEMESIS, "ok", "heal")
        if recovered:
            self.event(RECOVERED, NEMESIS, "ok", "recovered", value={"since_ns": RECOVERED})
        self.event(LOAD_OFF, NEMESIS, "ok", "load")
        return self

    def case(self) -> Case:
        """What a checker takes."""
        ordered = sorted(self.events, key=lambda e: e.t_ns)
        events = tuple(replace(e, i=i) for i, e in enumerate(ordered))
        return Case(History(events), self.final, self.recovery_seconds)

    def copy(self) -> Story:
        """An independent copy, to be changed."""
        return copy.deepcopy(self)

    def change(self, which: Callable[[Event], bool], how: Callable[[Event], Event]) -> Story:
        """Replace the events that `which` finds. Raises AssertionError where there are none."""
        assert any(which(e) for e in self.events), "nothing to change"
        self.events = [how(e) if which(e) else e for e in self.events]
        return self


def clean_proof() -> dict[str, Any]:
    """A proof without complaint, with the checks that the ledger's own proofs have."""
    compared = {"balanced": 1026, "dense_versions": 1026, "running_sums": 1026, "floors": 1026, "state": 61,
                "heads": 61, "view": 1026, "chain": 512, "stream": 512}  # fmt: skip
    checks = [{"name": n, "result": "Passed", "compared": c, "message": "as said"} for n, c in compared.items()]
    return {"result": "Passed", "checks": checks}


@dataclass
class Model:
    """A correct ledger: operations take effect one after the other, each at its own moment."""

    story: Story
    accounts: dict[str, list[dict[str, Any]]]
    transactions: int = 0

    def apply(self, legs: dict[str, int]) -> tuple[str, list[dict[str, Any]]] | None:
        """Post amounts by account; None where one would go under 0."""
        balances = {a: self.accounts[a][-1]["balance_after"] if self.accounts[a] else 0 for a in legs}
        if any(balances[a] + amount < 0 for a, amount in legs.items()):
            return None
        self.transactions += 1
        transaction = f"t{self.transactions}"
        told = []
        for account, amount in legs.items():
            rows = self.accounts[account]
            state = {"version": len(rows) + 1, "amount": amount, "held": 0,
                     "balance_after": balances[account] + amount, "held_after": 0}  # fmt: skip
            rows.append({"transaction_id": transaction, **state})
            told.append({"account_id": account, **state})
        return transaction, told


def correct_story(seed: int, operations: int = 60, accounts: int = 3) -> Story:
    """Concurrent operations of a correct ledger: transfers, deposits, withdrawals, reads and replays, overlapping in
    time, some refused, some of unknown outcome (of which some took effect all the same)."""
    rng = Random(seed)
    story = Story()
    names = [f"a{n}" for n in range(accounts)]
    model = Model(story, {n: [] for n in names})
    for name in names:
        opened = model.apply({name: 0})
        assert opened is not None
        story.final.transactions[opened[0]] = {"kind": "account_opened", "key": f"open-{name}", "entries": opened[1]}
    planned = []
    for number in range(operations):
        began = rng.randrange(LOAD_ON + 1, LOAD_OFF - SECOND)
        took = rng.randrange(2, SECOND)
        planned.append((began + rng.randrange(1, took), number, began, began + took))
    done: list[tuple[str, str, dict[str, Any], str, list[dict[str, Any]], int]] = []
    for number, name in enumerate(names):
        _act(
            model, "deposit", f"fund{number}", {"account_id": name, "amount": 200}, LOAD_ON - 9, LOAD_ON - 1, "ok", done
        )
    for _, number, began, ended in sorted(planned):
        key = f"k{number}"
        first, second = rng.sample(names, 2)
        amount = rng.randint(1, 90)
        fate = rng.choice(["ok"] * 8 + ["info"])
        match rng.choice(["transfer", "transfer", "deposit", "withdrawal", "read", "replay"]):
            case "read":
                last = model.accounts[first][-1]
                answered = {"balance": last["balance_after"], "held": 0, "version": last["version"]}
                story.operation("read", {"account_id": first}, began, ended, "ok", answered, status=200)
            case "replay":
                f, again, asked, transaction, told, _ = rng.choice(done)
                answered = {"transaction_id": transaction, "entries": told, "replayed": True}
                # A client repeats what it was answered before; this one begins after everything has ended.
                story.operation("replay", {**asked, "of": f}, LOAD_OFF + number, LOAD_OFF + SECOND + number, "ok",
                                answered, key=again)  # fmt: skip
            case "transfer":
                _act(model, "transfer", key, {"source": first, "destination": second, "amount": amount}, began, ended,
                     fate, done)  # fmt: skip
            case f:
                _act(model, f, key, {"account_id": first, "amount": amount}, began, ended, fate, done)
    _act(model, "deposit", "last", {"account_id": names[0], "amount": 1}, LOAD_OFF - 9, LOAD_OFF - 1, "ok", done)
    f, again, asked, transaction, told, _ = done[0]
    story.operation("replay", {**asked, "of": f}, LOAD_OFF, LOAD_OFF + 1, "ok",
                    {"transaction_id": transaction, "entries": told, "replayed": True}, key=again)  # fmt: skip
    for name, rows in model.accounts.items():
        balance = rows[-1]["balance_after"]
        story.final.accounts[name] = FinalAccount(name, balance, 0, 0, len(rows), rows)
    return story.nemesis()


def refused(
    story: Story,
    f: str,
    asked: dict[str, Any],
    began: int,
    ended: int,
    code: str,
    key: str = "no",
    **told: Any,
) -> None:
    """Add a refusal with the figures that the ledger told of it."""
    story.operation(f, asked, began, ended, "fail", {"refusal": told}, key=key, status=409, code=code)


def _act(
    model: Model,
    f: str,
    key: str,
    asked: dict[str, Any],
    began: int,
    ended: int,
    fate: str,
    done: list[tuple[str, str, dict[str, Any], str, list[dict[str, Any]], int]],
) -> None:
    amount = asked["amount"]
    if f == "transfer":
        legs = {asked["source"]: -amount, asked["destination"]: amount}
    else:
        legs = {asked["account_id"]: amount if f == "deposit" else -amount}
    story = model.story
    if fate == "info" and amount % 2:  # nobody knows, and it did not happen
        story.operation(f, asked, began, ended, "info", key=key, status=None)
        return
    posted = model.apply(legs)
    if posted is None:
        (payer,) = (account for account, change in legs.items() if change < 0)
        told = {"account_id": payer, "available": model.accounts[payer][-1]["balance_after"], "required": amount}
        refused(story, f, asked, began, ended, "insufficient_funds", key=key, **told, floor=0)
        return
    transaction, entries = posted
    world = [] if f == "transfer" else [{"account_id": "world", "version": 1, "amount": -sum(legs.values()), "held": 0,
                                         "balance_after": 0, "held_after": 0}]  # fmt: skip
    if fate == "info":
        story.operation(f, asked, began, ended, "info", key=key, status=503)
        story.final.transactions[transaction] = {"kind": f, "key": key, "entries": entries + world}
        return
    story.operation(f, asked, began, ended, "ok", {"transaction_id": transaction, "entries": entries + world}, key=key)
    done.append((f, key, asked, transaction, entries + world, ended))
