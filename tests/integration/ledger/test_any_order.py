"""Whatever is asked, in whatever order, twice or at once: every wave of requests is answered as in some serial order.

The model knows nothing but addition, floors and states of holds. Requests of one wave are sent at once to several
replicas; where their order is open, there must be one in which the model gives the very same answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chronicle_ledger.domain.commands import (
    CaptureHold,
    Command,
    Leg,
    PlaceHold,
    PostEntries,
    ReleaseHold,
    Reverse,
    UpdateAccount,
)
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.transaction import TransactionKind
from chronicle_ledger.posting.service import Posted, PostingService
from chronicle_ledger.store import reads
from support.ledger_bench import Bench, account_named, command, deposit, transfer, withdrawal

EXAMPLES = 25
REPLICAS = 3
UNKNOWN = account_named("no such thing")
ACCEPTED = "accepted"
RUNS = itertools.count()

Unit: TypeAlias = tuple[Command, ...]
"""One request: a command, or an atomic batch of several."""
Answers: TypeAlias = tuple[str, ...]


@dataclass
class Money:
    """An account as the model has it."""

    currency: str
    floor: int | None
    balance: int = 0
    held: int = 0


@dataclass
class Reserve:
    """A hold as the model has it."""

    account: UUID
    destination: UUID | None
    amount: int
    state: str = "pending"


class Refused(Exception):
    """The code of a refusal."""


@dataclass
class Model:
    """What the ledger should hold. `moved` are the movements of what can be reversed, None of what cannot."""

    accounts: dict[UUID, Money]
    holds: dict[UUID, Reserve] = field(default_factory=dict)
    moved: dict[UUID, dict[UUID, int] | None] = field(default_factory=dict)
    reversed: set[UUID] = field(default_factory=set)

    def answer(self, unit: Unit) -> tuple[Answers, Model]:
        """The codes that `unit` is answered with, and the model after it."""
        after = deepcopy(self)
        for index, asked in enumerate(unit):
            try:
                after.post(asked)
            except Refused as refused:
                codes = ["batch_aborted"] * len(unit)
                codes[index] = str(refused)
                return tuple(codes), self
        return (ACCEPTED,) * len(unit), after

    def post(self, asked: Command) -> None:
        """Do it, unless it was done before. Raises Refused."""
        if asked.id in self.moved:
            return
        movements: dict[UUID, int] | None = None
        match asked:
            case PostEntries():
                movements = {leg.account_id: leg.amount for leg in asked.legs}
                if asked.kind is TransactionKind.TRANSFER:
                    self.require_one_currency(*movements)
                self.move(movements)
            case PlaceHold():
                if asked.destination_id is not None:
                    self.require_one_currency(asked.account_id, asked.destination_id)
                self.move({}, {asked.account_id: asked.amount})
                self.holds[asked.id] = Reserve(asked.account_id, asked.destination_id, asked.amount)
            case CaptureHold():
                movements = self.capture(asked)
            case ReleaseHold():
                hold = self.pending(asked.hold_id)
                self.move({}, {hold.account: -hold.amount})
                hold.state = "released"
            case Reverse():
                self.move({account: -amount for account, amount in self.reversible(asked.transaction_id).items()})
                self.reversed.add(asked.transaction_id)
            case UpdateAccount():
                account = self.accounts[asked.account_id]
                account.floor = asked.floor  # type: ignore[assignment]  # these tests always give one
                self.require_floors([asked.account_id])
        self.moved[asked.id] = movements

    def capture(self, asked: CaptureHold) -> dict[UUID, int]:
        hold = self.pending(asked.hold_id)
        amount = asked.amount or hold.amount
        if amount > hold.amount:
            raise Refused("capture_exceeds_hold")
        movements = {hold.account: -amount}
        if hold.destination is not None:
            movements[hold.destination] = amount
        self.move(movements, {hold.account: -hold.amount})
        hold.state = "captured"
        return movements

    def pending(self, hold_id: UUID) -> Reserve:
        if hold_id not in self.holds:
            raise Refused("hold_not_found")
        if self.holds[hold_id].state != "pending":
            raise Refused("hold_not_pending")
        return self.holds[hold_id]

    def reversible(self, transaction_id: UUID) -> dict[UUID, int]:
        if transaction_id not in self.moved:
            raise Refused("transaction_not_found")
        movements = self.moved[transaction_id]
        if movements is None:
            raise Refused("not_reversible")
        if transaction_id in self.reversed:
            raise Refused("already_reversed")
        return movements

    def require_one_currency(self, *accounts: UUID) -> None:
        if len({self.accounts[account].currency for account in accounts}) > 1:
            raise Refused("currency_mismatch")

    def move(self, amounts: dict[UUID, int], held: dict[UUID, int] | None = None) -> None:
        for account, amount in amounts.items():
            self.accounts[account].balance += amount
        for account, amount in (held or {}).items():
            self.accounts[account].held += amount
        self.require_floors({*amounts, *(held or {})})

    def require_floors(self, accounts: Any) -> None:
        for account in accounts:
            found = self.accounts[account]
            if found.floor is not None and found.balance - found.held < found.floor:
                raise Refused("insufficient_funds")


def orders(model: Model, answered: Sequence[tuple[Unit, Answers]]) -> Iterator[Model]:
    """The model after each serial order in which it gives the answers that were given.

    A refusal changes nothing, so it has to fit anywhere in the order of what was accepted.
    """
    accepted = {ids(unit): unit for unit, answers in answered if set(answers) == {ACCEPTED}}
    refused = {(ids(unit), answers): unit for unit, answers in answered if set(answers) != {ACCEPTED}}
    for order in itertools.permutations(accepted.values()):
        states = [model]
        for unit in order:
            answers, after = states[-1].answer(unit)
            if set(answers) != {ACCEPTED}:
                break
            states.append(after)
        else:
            if all(any(state.answer(unit)[0] == told for state in states) for (_, told), unit in refused.items()):
                yield states[-1]


def ids(unit: Unit) -> tuple[UUID, ...]:
    return tuple([asked.id for asked in unit])


AMOUNTS = st.integers(1, 90)
PLACES = st.integers(0, 3)
OTHERS = st.sampled_from([1, 1, 1, 1, 2])
"""The other account of the same currency, or now and then one of the other currency."""
ACTIONS = st.one_of(
    st.tuples(st.just("transfer"), PLACES, OTHERS, AMOUNTS),
    st.tuples(st.just("exchange"), st.integers(0, 1), st.just(0), AMOUNTS),
    st.tuples(st.just("deposit"), PLACES, st.just(0), AMOUNTS),
    st.tuples(st.just("withdrawal"), PLACES, st.just(0), AMOUNTS),
    st.tuples(st.just("hold"), PLACES, st.one_of(st.just(0), OTHERS), AMOUNTS),
    st.tuples(st.just("capture"), st.integers(0, 2), st.integers(0, 1), AMOUNTS),
    st.tuples(st.just("capture"), st.just(0), st.integers(0, 1), AMOUNTS),
    st.tuples(st.just("release"), st.integers(0, 2), st.just(0), AMOUNTS),
    st.tuples(st.just("reverse"), st.integers(0, 3), st.just(0), AMOUNTS),
    st.tuples(st.just("floor"), PLACES, st.integers(0, 3), AMOUNTS),
)
ONE = st.lists(ACTIONS, min_size=1, max_size=1)
BATCH = st.lists(ACTIONS, min_size=2, max_size=3)
AGAIN = st.integers(0, 30)
"""Which of the requests before is sent once more."""
ASKED = st.integers(0, 5).flatmap(lambda drawn: BATCH if drawn == 0 else AGAIN if drawn == 1 else ONE)
REQUESTS = st.tuples(ASKED, st.lists(st.integers(0, REPLICAS - 1), min_size=1, max_size=3))
"""A request and the replicas that it is sent to."""
WAVES = st.lists(st.lists(REQUESTS, min_size=1, max_size=3), min_size=6, max_size=12)


class Story:
    """Turns what was drawn into commands on accounts of its own; what they refer to is among those before."""

    def __init__(self, name: str, accounts: list[UUID]) -> None:
        self.name = name
        self.accounts = accounts
        self.units: list[Unit] = []
        self.commands: list[Command] = []

    def unit(self, drawn: list[Any] | int) -> Unit:
        """A new request, or one of those before."""
        if isinstance(drawn, int) and self.units:
            return self.units[drawn % len(self.units)]
        actions = [("deposit", 0, 0, 1)] if isinstance(drawn, int) else drawn
        unit = tuple([self.command(*action) for action in actions])
        self.units.append(unit)
        return unit

    def command(self, kind: str, which: int, more: int, amount: int) -> Command:
        key = f"{self.name} {len(self.commands)}"
        account = self.accounts[which % 4]
        other = self.accounts[which % 4 ^ 1 if more < 2 else (which + 2) % 4]
        holds = [before.id for before in self.commands if isinstance(before, PlaceHold)]
        if kind in {"capture", "release"} and not holds:
            kind = "hold"
        hold = holds[-1 - which % len(holds)] if holds else UNKNOWN
        made: Command
        match kind:
            case "transfer":
                made = transfer(key, account, other, amount)
            case "exchange":
                made = command(PostEntries, key, kind=TransactionKind.JOURNAL, legs=self.exchange(which, amount))
            case "deposit":
                made = deposit(key, account, amount)
            case "withdrawal":
                made = withdrawal(key, account, amount)
            case "hold":
                destination = other if more else None
                made = command(PlaceHold, key, account_id=account, amount=amount, destination_id=destination)
            case "capture":
                made = command(CaptureHold, key, hold_id=hold, amount=amount if more else None)
            case "release":
                made = command(ReleaseHold, key, hold_id=hold)
            case "reverse":
                targets = [c.id for c in self.commands if isinstance(c, PostEntries | CaptureHold | PlaceHold)]
                target = targets[which % len(targets)] if targets else UNKNOWN
                made = command(Reverse, key, transaction_id=target)
            case _:
                made = command(UpdateAccount, key, account_id=account, floor=(None, -40, 0, 25)[more])
        self.commands.append(made)
        return made

    def exchange(self, which: int, amount: int) -> tuple[Leg, ...]:
        """Each way in its own currency: the first two accounts have one, the last two the other."""
        euros, others = (amount, -2 * amount) if which % 2 else (-amount, 2 * amount)
        moved = (euros, -euros, others, -others)
        return tuple([Leg(account, moves) for account, moves in zip(self.accounts, moved, strict=True)])


async def sent(replica: PostingService, unit: Unit) -> list[Posted | LedgerError]:
    """The answers to one request."""
    if len(unit) > 1:
        return await replica.submit_many(unit, atomic=True, deadline=60)
    try:
        return [await replica.submit(unit[0], deadline=60)]
    except LedgerError as error:
        return [error]


def told(results: Sequence[Posted | LedgerError]) -> Answers:
    return tuple([result.code if isinstance(result, LedgerError) else ACCEPTED for result in results])


@pytest.fixture
async def replicas(bench: Bench) -> list[PostingService]:
    return [await bench.service() for _ in range(REPLICAS)]


async def beginning(bench: Bench, replica: PostingService, name: str) -> tuple[Model, Story]:
    """Two accounts in each of two currencies, with floors of all kinds and 100 on each."""
    accounts = {}
    for number, (currency, floor) in enumerate([("EUR", 0), ("EUR", -50), ("XTS", 0), ("XTS", None)]):
        await bench.open(replica, f"{name}/{number}", currency=currency, floor=floor)
        account = account_named(f"{name}/{number}")
        await replica.submit(deposit(f"fund {name}/{number}", account, 100), deadline=60)
        accounts[account] = Money(currency, floor, balance=100)
    return Model(accounts), Story(name, list(accounts))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,  # a run that finds something finds it again
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(waves=WAVES)
async def test_every_wave_of_requests_is_answered_as_in_some_order_and_each_is_posted_once(
    bench: Bench, replicas: list[PostingService], waves: list[list[tuple[list[Any] | int, list[int]]]]
) -> None:
    model, story = await beginning(bench, replicas[0], f"run {next(RUNS)}")
    possible = [model]
    posted: dict[UUID, list[Posted]] = defaultdict(list)
    for wave in waves:
        copies = [(unit, to) for drawn, some in wave for unit in [story.unit(drawn)] for to in some]
        results = await asyncio.gather(*[sent(replicas[to], unit) for unit, to in copies])
        answered = [(unit, told(result)) for (unit, _), result in zip(copies, results, strict=True)]
        following: list[Model] = []
        for after in itertools.chain.from_iterable(orders(before, answered) for before in possible):
            if after not in following:
                following.append(after)
        assert following, f"in no order these requests have these answers: {answered}"
        possible = following
        for result in itertools.chain.from_iterable(results):
            if isinstance(result, Posted):
                posted[result.transaction.id].append(result)
    for id_, answers in posted.items():
        assert sum(not answer.replayed for answer in answers) <= 1, "it was posted once"
        assert {(answer.transaction.id, answer.transaction.hash, answer.hold) for answer in answers} == {
            (id_, answers[0].transaction.hash, answers[0].hold)
        }, "each time it was answered alike"
    stored = {transaction.id for transaction in await bench.assert_sound()}
    assert {asked.id for asked in story.commands if asked.id in stored} == posted.keys()
    accounts, _ = await bench.books()
    held = {asked.id: (await reads.get_hold(bench.database, asked.id)) for asked in story.commands
            if isinstance(asked, PlaceHold) and asked.id in posted}  # fmt: skip
    assert any(
        {id_: (found.balance, found.held, found.floor) for id_, found in end.accounts.items()}
        == {id_: (accounts[id_].balance, accounts[id_].held, accounts[id_].floor) for id_ in end.accounts}
        and {id_: hold.state for id_, hold in end.holds.items()} == {id_: hold.state for id_, hold in held.items()}
        for end in possible
    ), "what is stored is what was answered"
