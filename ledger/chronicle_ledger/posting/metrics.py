"""What the posting engine tells whoever measures it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol


class PostingMetrics(Protocol):
    """Called from the event loop; must return at once."""

    def batch(self, size: int) -> None:
        """A batch of `size` commands was answered."""

    def retry(self, sqlstate: str) -> None:
        """A batch is run again because the database said `sqlstate` (five characters)."""

    def queue(self, length: int) -> None:
        """`length` commands wait for a batch."""


@dataclass(slots=True)
class Counters:
    """Plain numbers: the default, and enough for tests and benchmarks."""

    batches: int = 0
    commands: int = 0
    queued: int = 0
    retries: Counter[str] = field(default_factory=Counter)

    def batch(self, size: int) -> None:
        """Count a batch."""
        self.batches += 1
        self.commands += size

    def retry(self, sqlstate: str) -> None:
        """Count a retry."""
        self.retries[sqlstate] += 1

    def queue(self, length: int) -> None:
        """Note the queue's length."""
        self.queued = length
