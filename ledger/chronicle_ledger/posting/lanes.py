"""How many batches a replica keeps in flight: fewer while replicas wait for each other's locks.

The batches of one replica never share an account (`dispatcher.py`); those of several do, and then wait for each other
in the database. With several in flight on every replica most of them wait, in chains, and each holds what it has locked
already. With one, whatever arrives meanwhile gathers into the next batch, which costs hardly more than a small one, so
the replicas take turns. Overload would otherwise sustain itself: the longer the queues, the more accounts a batch
touches, the more batches collide.

Additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989). The signal is that locks took longer to get than all rows took to be
written and committed: alone on its accounts, a batch reads in far less time than it writes.
"""

from __future__ import annotations

_STEP = 0.25


class Lanes:
    """The present width, from 1 to `most` batches."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._width = float(most)

    @property
    def width(self) -> int:
        """How many batches may be in flight."""
        return int(self._width)

    def observe(self, locking: float, writing: float) -> None:
        """A batch was committed; `locking` and `writing` are seconds."""
        if locking > writing:
            self.narrow()
        else:
            self._width = min(self._most, self._width + _STEP)

    def narrow(self) -> None:
        """A batch met another one: by a conflict, or by waiting until the statement's time was over."""
        self._width = max(1.0, self._width / 2)
