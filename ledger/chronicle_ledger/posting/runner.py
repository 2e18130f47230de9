"""Running a batch to its end: again after conflicts, again after unknown outcomes, in parts after a refusal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog
from psycopg_pool import PoolTimeout

from chronicle_ledger.domain.errors import ClocksDisagree, DatabaseUnavailable, LedgerError
from chronicle_ledger.domain.needs import Facts
from chronicle_ledger.posting.batch import attempt_batch
from chronicle_ledger.posting.clocks import Clocks
from chronicle_ledger.posting.lanes import Lanes
from chronicle_ledger.posting.metrics import PostingMetrics
from chronicle_ledger.posting.pretence import Pretence
from chronicle_ledger.posting.work import Results, Work
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.failures import (
    DATABASE_ERRORS,
    TOO_SLOW,
    Failure,
    classify,
    sqlstate,
    too_large,
    unavailable,
)
from chronicle_ledger.store.pool import Database

_log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5
_MOST_PASSES = 5
"""A command asks for more accounts twice at most; more means a defect, and must not go round for ever."""
_NEW_SESSION = 0.5
"""Seconds for a new session after one was read-only: the caller is told within a second."""
_MOST_DUPLICATES = 5
"""A duplicate key is seen on the next attempt; one that keeps coming belongs to a row outside the batch's book."""


@dataclass(slots=True)
class _Met:
    """What the attempts at a batch have met so far."""

    duplicates: int = 0
    read_only: DatabaseUnavailable | None = None


class Runner:
    """Runs batches against one database."""

    def __init__(
        self,
        database: Database,
        facts: Facts,
        clocks: Clocks,
        metrics: PostingMetrics,
        sabotage: Sabotage | None,
        lanes: Lanes,
        too_slow: Callable[[], None] = lambda: None,
    ) -> None:
        self._lanes = lanes
        self._too_slow = too_slow
        self._database = database
        self._facts = facts
        self._clocks = clocks
        self._metrics = metrics
        self._sabotage = sabotage
        self._pretence = Pretence(clocks.own) if sabotage is Sabotage.MINORITY_REJECTION else None
        self._random = random.Random()  # noqa: S311 - pauses, not secrets

    async def run(self, works: Sequence[Work]) -> AsyncIterator[tuple[Work, Results | None]]:
        """Each work with its results, or with None when it has to come again with more accounts."""
        pending = [list(works)]
        while pending:
            part = pending.pop(0)
            attempt = await self._until_final(part)
            if attempt is None:
                middle = len(part) // 2
                pending[:0] = [part[:middle], part[middle:]]
                continue
            for work, results in attempt:
                yield work, results

    async def _until_final(self, works: list[Work]) -> list[tuple[Work, Results | None]] | None:
        """Run `works` until their outcome is known or the deadline passes; None when they have to be split."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        met = _Met()
        while True:
            remaining = max(work.deadline for work in works) - loop.time()
            if remaining <= 0:
                return self._unavailable(works)
            try:
                attempt = await attempt_batch(
                    self._database,
                    works,
                    self._facts,
                    self._clocks,
                    timeout=min(remaining, self._database.statement_timeout if met.read_only is None else _NEW_SESSION),
                    sabotage=self._sabotage,
                )
            except ClocksDisagree as error:
                _log.error("posting.clock_skew", message=error.message)
                return [(work, [error] * len(work.commands)) for work in works]
            except DATABASE_ERRORS as error:
                failure = self._noted(error, works)
                met.duplicates += failure is Failure.DUPLICATE
                if len(works) > 1 and self._splits(error, failure, met):
                    return None  # in halves, under the same ids: what was committed after all is a replay
                final = self._final(error, failure, works, met)
                if final is not None:
                    return final
                await self._database.renew_after(error)
                if failure is Failure.UNKNOWN and self._pretence is not None:
                    return [(work, self._pretence.accept(work)) for work in works]
                if failure not in (Failure.DUPLICATE, Failure.READ_ONLY):
                    # Full jitter (Brooker, "Exponential Backoff And Jitter"): replicas that collided part ways.
                    await asyncio.sleep(min(self._random.uniform(0, pause), remaining))
                    pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            except Exception as error:  # noqa: BLE001 - a defect that one command sets off must not fail its neighbours
                return None if len(works) > 1 else self._refused(works, error)
            if attempt.writing:
                self._lanes.observe(attempt.locking, attempt.writing)
            answers: list[tuple[Work, Results | None]] = list(attempt.answers)
            for work in attempt.incomplete:
                stuck = work.passes > _MOST_PASSES
                answers.append((work, [_defect(work)] * len(work.commands) if stuck else None))
            return answers

    def _splits(self, error: BaseException, failure: Failure, met: _Met) -> bool:
        """Whether a part of the batch may pass where the whole did not."""
        if sqlstate(error) in TOO_SLOW:
            return self._pretence is None
        return too_large(error) or failure is Failure.REFUSED or met.duplicates > _MOST_DUPLICATES

    def _final(
        self, error: BaseException, failure: Failure, works: Sequence[Work], met: _Met
    ) -> list[tuple[Work, Results | None]] | None:
        """What to answer after `error`; None where the batch is to be run again."""
        refusal = unavailable(error)
        if failure is Failure.NO_SCHEMA and refusal is not None:
            return self._failed(works, refusal)
        if met.read_only is not None and (failure is Failure.READ_ONLY or isinstance(error, PoolTimeout)):
            return self._failed(works, met.read_only)
        if failure is Failure.READ_ONLY:
            met.read_only = refusal  # once more: a new session may lead to another server, or to a repaired one
            return None
        if failure is Failure.REFUSED or met.duplicates > _MOST_DUPLICATES:
            return self._refused(works, error)
        return None

    def _noted(self, error: BaseException, works: Sequence[Work]) -> Failure:
        """Tell metrics, log and limits of an error; what it means."""
        failure, state = classify(error), sqlstate(error)
        self._metrics.retry(state)
        _log.info("posting.retry", sqlstate=state, failure=failure.value, works=len(works))
        if failure is Failure.CONFLICT or state in TOO_SLOW:
            self._lanes.narrow()
        if state in TOO_SLOW:
            self._too_slow()
        return failure

    @classmethod
    def _unavailable(cls, works: Sequence[Work]) -> list[tuple[Work, Results | None]]:
        return cls._failed(
            works,
            DatabaseUnavailable(
                "The database did not confirm it in time. Retry with the same idempotency key: it is posted once at"
                " most."
            ),
        )

    @staticmethod
    def _failed(works: Sequence[Work], error: LedgerError) -> list[tuple[Work, Results | None]]:
        return [(work, [error] * len(work.commands)) for work in works]

    @staticmethod
    def _refused(works: Sequence[Work], error: BaseException) -> list[tuple[Work, Results | None]]:
        _log.error("posting.refused", error=repr(error), commands=[str(c.id) for w in works for c in w.commands])
        refusal = LedgerError("The database refuses this request; nothing was posted. Please report it.")
        return [(work, [refusal] * len(work.commands)) for work in works]


def _defect(work: Work) -> LedgerError:
    _log.error("posting.accounts_not_settled", commands=[str(command.id) for command in work.commands])
    return LedgerError("The accounts of this request could not be determined; nothing was posted. Please report it.")
