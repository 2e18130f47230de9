"""Which time a posting gets: the database's, as long as this replica's clock agrees with it.

The database's time is the same for all replicas, so the order of postings and the end of holds never depend on which
replica answered. A time is kept for good, so two clocks that differ are a reason to stop: one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from chronicle_ledger.domain.errors import ClocksDisagree

Clock = Callable[[], datetime]

TOLERANCE = 2.0
"""Seconds by which a replica's clock may differ from the database's, unless said otherwise."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """The database's time, and this replica's before it was asked for and after the answer."""

    before: datetime
    database: datetime
    after: datetime

    @property
    def skew(self) -> float:
        """By how many seconds this replica's clock is ahead at least; negative where it is behind.

        0 where both may be the same: what passed between question and answer is no skew.
        """
        ahead = (self.before - self.database).total_seconds()
        behind = (self.after - self.database).total_seconds()
        return ahead if ahead > 0 else min(behind, 0.0)


@dataclass(frozen=True, slots=True)
class Clocks:
    """`own` is this replica's clock. `fixed`, where given, decides the time of postings alone (tests, examples)."""

    own: Clock = utc_now
    tolerance: float = TOLERANCE
    fixed: Clock | None = None

    def posting_time(self, reading: Reading) -> datetime:
        """The time of what is evaluated now. Raises ClocksDisagree."""
        if self.fixed is not None:
            return self.fixed()
        self.require_agreement(reading)
        return reading.database

    def require_agreement(self, reading: Reading) -> None:
        """Raise ClocksDisagree where the clocks differ by more than the tolerance."""
        skew = reading.skew
        if abs(skew) > self.tolerance:
            raise ClocksDisagree(
                f"The clock of this replica is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the database's;"
                f" {self.tolerance:g} s are tolerated. Nothing was posted. Set the clocks; meanwhile another replica"
                " may answer.",
                skew_seconds=round(skew, 3),
                tolerance_seconds=self.tolerance,
            )
