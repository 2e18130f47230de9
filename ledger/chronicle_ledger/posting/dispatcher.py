"""Which work goes into the next batch.

While batches are in flight, requests gather. A new batch takes, in order of arrival, all work whose accounts no batch
in flight touches; work that has to wait holds back later work on the same accounts, so each account sees its commands
in order. Work on one hot account thus gathers into one batch by itself, and work on disjoint accounts runs side by
side. (Group commit; the lanes of TigerFans' LiveBatcher and pgledger's per-account summing are relatives.)
"""

from __future__ import annotations

from collections import deque
from uuid import UUID

from chronicle_ledger.posting.work import Work


class Dispatcher:
    """A bounded queue of work, and the accounts that are taken. Not thread-safe; all calls from one event loop."""

    def __init__(self, *, max_batch: int, max_queue: int, max_bytes: int) -> None:
        self._limit = max_batch
        self._max_batch = max_batch
        self._max_bytes = max_bytes
        self._max_queue = max_queue
        self._queue: deque[Work] = deque()
        self._taken: set[UUID] = set()
        self._in_flight: set[Work] = set()
        self.waiting = 0
        """Commands in the queue."""

    def offer(self, work: Work) -> bool:
        """Queue `work`; False when the queue is full. An empty queue takes work of any size."""
        if self.waiting and self.waiting + len(work.commands) > self._max_queue:
            return False
        self._queue.append(work)
        self.waiting += len(work.commands)
        return True

    def shrink(self) -> None:
        """Form batches of half the size: the last one took the database longer than a statement may."""
        self._max_batch = max(1, self._max_batch // 2)

    def grow(self) -> None:
        """Form batches a little larger again, up to the limit (additive increase, as TCP does it)."""
        self._max_batch = min(self._limit, self._max_batch + 8)

    def put_back(self, works: list[Work]) -> None:
        """Queue works that were taken once already, ahead of all others."""
        self._queue.extendleft(reversed(works))
        self.waiting += sum(len(work.commands) for work in works)

    def take(self) -> list[Work]:
        """The next batch, whose accounts are taken until `release`; empty when everything has to wait."""
        if not self._queue:
            return []
        batch: list[Work] = []
        kept: deque[Work] = deque()
        size = weight = 0
        blocked = self._taken.copy()
        queue = self._queue
        while queue:
            work = queue.popleft()
            count = len(work.commands)
            if batch and (size + count > self._max_batch or weight + work.weight > self._max_bytes):
                queue.appendleft(work)
                break
            if work.accounts.isdisjoint(blocked):
                batch.append(work)
                size += count
                weight += work.weight
            else:
                blocked |= work.accounts
                kept.append(work)
        kept.extend(queue)
        self._queue = kept
        self.waiting -= size
        for work in batch:
            self._taken |= work.accounts
            self._in_flight.add(work)
        return batch

    def release(self, batch: list[Work], accounts: set[UUID]) -> None:
        """Give the accounts of a batch back."""
        self._taken -= accounts
        self._in_flight.difference_update(batch)

    def expire(self, now: float) -> list[Work]:
        """Answer whoever waited past the deadline; queued work that nobody waits for any more is dropped."""
        dead = [work for work in self._queue if work.deadline <= now]
        if dead:
            self._queue = deque(work for work in self._queue if work.deadline > now)
            self.waiting -= sum(len(work.commands) for work in dead)
        for works in (dead, self._queue, self._in_flight):
            for work in works:
                work.expire(now)
        return dead

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._queue and not self._in_flight
