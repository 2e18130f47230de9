"""What can go wrong outside of what a scenario judges.

ChaosError
 ├─ UnknownScenario    a name that is not one of the scenarios
 ├─ TargetUnusable     the ledger under test cannot be reached or refuses the key
 ├─ UnreadableRun      a run's folder lacks what is needed to judge it again
 │   └─ HistoryMissing   all is there but what clients saw, so nothing can be said of the ledger
 └─ PhaseTimeout       a phase passed its deadline
"""

from __future__ import annotations


class ChaosError(Exception):
    """The root; the message says what to do next."""


class UnknownScenario(ChaosError):
    """A name that is not one of the scenarios."""


class TargetUnusable(ChaosError):
    """The ledger under test cannot be reached, or refuses what the workload needs."""


class UnreadableRun(ChaosError):
    """A run's folder lacks what is needed to judge it again."""


class HistoryMissing(UnreadableRun):
    """A run's folder holds no history of a scenario that was judged."""


class PhaseTimeout(ChaosError):
    """A phase passed its deadline."""
