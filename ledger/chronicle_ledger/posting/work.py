"""One unit of posting: a command, or an atomic batch of them, with those who wait for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import DatabaseUnavailable, LedgerError, RequestInProgress
from chronicle_ledger.domain.transaction import Hold, Transaction
from chronicle_ledger.posting.weight import weight_of


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to a command: its transaction, whether it had been posted before, and its hold if it has one."""

    transaction: Transaction
    replayed: bool
    hold: Hold | None = None


Result = Posted | LedgerError
Results = Sequence[Result]


@dataclass(slots=True)
class Waiter:
    """Somebody who wants the answer before `deadline` (the event loop's clock, in seconds)."""

    future: asyncio.Future[Results]
    deadline: float
    duplicate: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """`commands` are posted all together or not at all; `accounts` are those to lock, as far as known, and `ended_on`
    those whose holds that are over have to be expired first.

    `deadline` is the latest of the waiters'. `passes` counts how often the evaluation asked for more in vain. `weight`
    is in bytes.
    """

    commands: tuple[Command, ...]
    accounts: set[UUID]
    deadline: float
    waiters: list[Waiter] = field(default_factory=list)
    passes: int = 0
    ended_on: set[UUID] = field(default_factory=set)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        self.weight = sum([weight_of(command) for command in self.commands])

    def wait(self, future: asyncio.Future[Results], deadline: float, *, duplicate: bool = False) -> None:
        """Add somebody who waits."""
        self.waiters.append(Waiter(future, deadline, duplicate))
        self.deadline = max(self.deadline, deadline)

    def answer(self, results: Results) -> None:
        """Tell everybody. Those who came with a duplicate of the request see a replay."""
        for waiter in self.waiters:
            if not waiter.future.done():
                waiter.future.set_result(_replayed(results) if waiter.duplicate else results)

    def fail(self, error: LedgerError) -> None:
        """Tell everybody that no command of this was answered, and why."""
        self.answer([error] * len(self.commands))

    def expire(self, now: float) -> None:
        """Answer those whose deadline has passed; what is in flight goes on."""
        for waiter in self.waiters:
            if waiter.deadline <= now and not waiter.future.done():
                waiter.future.set_result([_late(waiter.duplicate)] * len(self.commands))


def _replayed(results: Results) -> Results:
    return [Posted(r.transaction, replayed=True, hold=r.hold) if isinstance(r, Posted) else r for r in results]


def _late(duplicate: bool) -> LedgerError:
    if duplicate:
        return RequestInProgress("The first request with this idempotency key has not ended yet; try again.")
    return DatabaseUnavailable(
        "The database did not confirm it in time. Retry with the same idempotency key: it is posted once at most."
    )
