"""Posting: commands in, answers out, exactly once each.

`PostingService` queues commands, forms batches (`dispatcher.py`), runs them (`runner.py`) and answers. Its promise: a
command that was answered with a transaction is stored for good, and however often it is sent again under its id, by
whomever, on whichever replica, it is posted once. Nothing waits longer than its deadline.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from chronicle_ledger.domain.commands import Command
from chronicle_ledger.domain.errors import (
    DatabaseUnavailable,
    IdempotencyKeyReused,
    LedgerError,
    Overloaded,
    RequestInProgress,
)
from chronicle_ledger.domain.evaluate import check
from chronicle_ledger.domain.needs import Facts, accounts_of
from chronicle_ledger.posting.batch import evaluate_works, learn_keys, need_of
from chronicle_ledger.posting.clocks import Clocks, Reading
from chronicle_ledger.posting.dispatcher import Dispatcher
from chronicle_ledger.posting.lanes import Lanes
from chronicle_ledger.posting.metrics import Counters, PostingMetrics
from chronicle_ledger.posting.runner import Runner
from chronicle_ledger.posting.work import Posted, Result, Results, Work
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.load import load_book
from chronicle_ledger.store.pool import Database

__all__ = ["Posted", "PostingLimits", "PostingService"]

_log = structlog.get_logger(__name__)

_TICK = 0.1
"""Seconds between two looks at deadlines."""

_PREVIEW_PASSES = 4
"""A command asks for more accounts twice at most (hold, then its parties' outside world); the rest is margin."""

_ALL = 2**31


@dataclass(frozen=True, slots=True)
class PostingLimits:
    """How much at once. `deadline` is in seconds, `max_bytes` bounds the weight of a batch; the other figures count
    commands, and batches in flight at most."""

    deadline: float = 8.0
    max_batch: int = 256
    max_queue: int = 10_000
    in_flight: int = 3
    max_bytes: int = 4 << 20


class PostingService:
    """Posts commands in batches. One for a process; every method belongs to one event loop. Previews use `reads`."""

    def __init__(
        self,
        database: Database,
        *,
        limits: PostingLimits | None = None,
        clocks: Clocks | None = None,
        metrics: PostingMetrics | None = None,
        sabotage: Sabotage | None = None,
        reads: Database | None = None,
    ) -> None:
        self.limits = limits or PostingLimits()
        self.metrics: PostingMetrics = metrics or Counters()
        self._reads = reads or database
        self._clocks = clocks or Clocks()
        self._sabotage = sabotage
        self._facts = Facts()
        self._dispatcher = Dispatcher(
            max_batch=self.limits.max_batch, max_queue=self.limits.max_queue, max_bytes=self.limits.max_bytes
        )
        self._lanes = Lanes(self.limits.in_flight)
        self._runner = Runner(
            database, self._facts, self._clocks, self.metrics, sabotage, self._lanes, self._dispatcher.shrink
        )
        self._by_id: dict[uuid.UUID, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_scheduled = False
        self._accepting = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def former_keys(self) -> bool:
        """Whether commands need their `former_id`."""
        return self._facts.former_keys

    async def start(self) -> None:
        """Get ready. Does not need the database to be up."""
        if self._sabotage is not None:
            _log.warning("sabotage.active", sabotage=self._sabotage.value, message="this ledger is broken on purpose")

    async def submit(self, command: Command, *, deadline: float | None = None) -> Posted:
        """Post `command` and answer when it is committed. `deadline` is seconds from now.

        Raises the LedgerError that says why not: refusals store nothing. After DatabaseUnavailable the outcome is
        unknown, and sending the same command again is safe. Many with one id at once are posted once and answered
        alike.
        """
        check(command)
        if self._sabotage is Sabotage.IDEMPOTENCY:
            command = replace(command, id=uuid.uuid4(), former_id=None)
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self.limits.deadline if deadline is None else deadline)
        while (running := self._by_id.get(command.id)) is not None:
            future: asyncio.Future[Results] = loop.create_future()
            running.wait(future, ends, duplicate=True)
            result = (await future)[0]
            if running.commands[0].fingerprint == command.fingerprint:
                return _raised(result)
            if isinstance(result, RequestInProgress):
                raise result  # the deadline is over; what the key stands for is not known yet
            if isinstance(result, Posted):
                raise IdempotencyKeyReused(
                    "This idempotency key was used for a different request; use a new key for a new request.",
                    transaction_id=str(command.id),
                )
            # The first one was refused and has stored nothing, so the key is free for this one; where its outcome is
            # unknown, the database decides between the two.
        work = Work((command,), accounts_of(command, self._facts), ends)
        self._by_id[command.id] = work
        return _raised((await self._enqueue(work, ends))[0])

    async def submit_many(
        self, commands: Sequence[Command], *, atomic: bool, deadline: float | None = None
    ) -> list[Result]:
        """Post several; an answer for each, in order. `atomic`: all of them in one transaction, or none.

        Where one of an atomic batch is refused, it has its own error and the others have BatchAborted.
        """
        if not commands:
            return []
        if not atomic:
            return await self._submit_each(commands, deadline)
        for command in commands:
            check(command)
        if self._sabotage is Sabotage.IDEMPOTENCY:
            commands = [replace(command, id=uuid.uuid4(), former_id=None) for command in commands]
        ends = asyncio.get_running_loop().time() + (self.limits.deadline if deadline is None else deadline)
        accounts = set().union(*[accounts_of(command, self._facts) for command in commands])
        return list(await self._enqueue(Work(tuple(commands), accounts, ends), ends))

    async def preview(self, command: Command) -> Posted:
        """What `submit` would answer now; nothing is written. Raises as `submit` does."""
        return _raised((await self.preview_many([command], atomic=True))[0])

    async def preview_many(self, commands: Sequence[Command], *, atomic: bool) -> list[Result]:
        """What `submit_many` would answer now, each seeing what those before it would do; nothing is written.

        Raises as `submit_many` does.
        """
        refused = {} if atomic else _refused(commands)
        if atomic:
            for command in commands:
                check(command)
        groups = [tuple(commands)] if atomic else [(c,) for i, c in enumerate(commands) if i not in refused]
        works = [Work(group, set(), 0.0) for group in groups]
        for _ in range(_PREVIEW_PASSES if works else 0):
            for work in works:
                work.accounts = work.accounts.union(*[accounts_of(command, self._facts) for command in work.commands])
            asked = self._clocks.own()
            async with self._reads.connection() as connection:
                # All holds that are over: nothing is written that a next pass could go on from.
                if not self._facts.keys_known:
                    await learn_keys(connection, self._facts)
                loaded = await load_book(connection, need_of(works, self._facts), lock=False, most_ended=_ALL)
            now = self._clocks.posting_time(Reading(asked, loaded.moment, self._clocks.own()))
            book = loaded.book
            book.currencies = self._facts.currencies
            book.keys_shared_until = self._facts.keys_shared_until
            self._facts.learn(book, set().union(*[work.accounts for work in works]))
            attempt, _ = evaluate_works(book, works, now, loaded.ended)
            if not attempt.incomplete:
                answers = iter([result for _, results in attempt.answers for result in results])
                return [refused[i] if i in refused else next(answers) for i in range(len(commands))]
        if works:
            raise DatabaseUnavailable("The accounts of this request keep changing; try again.")
        return list(refused.values())

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not a cancellation
        """Take nothing new and finish what is there, for `timeout` seconds at most; whether all was finished."""
        self._accepting = False
        ends = asyncio.get_running_loop().time() + timeout
        while not self._dispatcher.idle and (remaining := ends - asyncio.get_running_loop().time()) > 0:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)
        finished = self._dispatcher.idle
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return finished

    async def _submit_each(self, commands: Sequence[Command], deadline: float | None) -> list[Result]:
        """As `submit` for each, without a task for each: only those whose id is on its way already need one."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self.limits.deadline if deadline is None else deadline)
        pending: list[asyncio.Future[Results] | asyncio.Task[Result] | LedgerError] = []
        for command in commands:
            if command.id in self._by_id or self._sabotage is Sabotage.IDEMPOTENCY:
                pending.append(loop.create_task(self._settled(command, deadline)))
                continue
            try:
                check(command)
            except LedgerError as error:
                pending.append(error)
                continue
            work = Work((command,), accounts_of(command, self._facts), ends)
            self._by_id[command.id] = work
            pending.append(self._enqueue(work, ends))
        results: list[Result] = []
        for item in pending:
            answer = item if isinstance(item, LedgerError) else await item
            results.append(answer[0] if isinstance(answer, Sequence) else answer)
        return results

    async def _settled(self, command: Command, deadline: float | None) -> Result:
        try:
            return await self.submit(command, deadline=deadline)
        except LedgerError as error:
            return error

    def _enqueue(self, work: Work, ends: float) -> asyncio.Future[Results]:
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        work.wait(future, ends)
        if not self._accepting:
            self._finish(work, [DatabaseUnavailable("This replica is shutting down; try again.")])
        elif not self._dispatcher.offer(work):
            self._finish(
                work, [Overloaded("More postings wait than this instance can answer in time; try again later.")]
            )
        else:
            self._schedule()
        return future

    def _finish(self, work: Work, results: Results) -> None:
        first = work.commands[0].id
        if self._by_id.get(first) is work:
            del self._by_id[first]
        work.answer(results if len(results) == len(work.commands) else list(results) * len(work.commands))

    def _schedule(self) -> None:
        # At the end of this turn of the event loop: whatever else arrived in it joins the same batch.
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        for work in self._dispatcher.expire(loop.time()):
            first = work.commands[0].id
            if self._by_id.get(first) is work:
                del self._by_id[first]
        self._timer = None if self._dispatcher.idle else loop.call_later(_TICK, self._tick)

    def _pump(self) -> None:
        self._pump_scheduled = False
        while len(self._tasks) < self._lanes.width:
            batch = self._dispatcher.take()
            if not batch:
                break
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        self.metrics.queue(self._dispatcher.waiting)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._dispatcher.waiting:
            self._schedule()

    async def _run(self, batch: list[Work]) -> None:
        accounts = set().union(*[work.accounts for work in batch])
        incomplete: list[Work] = []
        try:
            async for work, results in self._runner.run(batch):
                if results is None:
                    incomplete.append(work)
                else:
                    self._finish(work, results)
            self._dispatcher.grow()
        finally:
            self._dispatcher.release(batch, accounts)
            self._dispatcher.put_back(incomplete)
            again = set(incomplete)
            answered = [work for work in batch if work not in again]
            for work in answered:
                # Only after cancellation or a defect is anyone still waiting here.
                self._finish(work, [DatabaseUnavailable("This replica gave up on it; try again with the same key.")])
            self.metrics.batch(sum(len(work.commands) for work in answered))


def _refused(commands: Sequence[Command]) -> dict[int, LedgerError]:
    """Which of `commands`, by index, are refused without a look at the ledger, and why."""
    refused = {}
    for index, command in enumerate(commands):
        try:
            check(command)
        except LedgerError as error:
            refused[index] = error
    return refused


def _raised(result: Result) -> Posted:
    if isinstance(result, LedgerError):
        raise result
    return result
