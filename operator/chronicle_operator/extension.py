"""The seam for what runs on top of a reconciled ledger: the failure scenarios.

Reconcile calls the extension last, with what it observed and decided, and stores what it reports in the same write of
the status as its own conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chronicle_operator.conditions import Condition
from chronicle_operator.desired import Desired
from chronicle_operator.observe import Observation


@dataclass(frozen=True)
class Addition:
    """What an extension adds to the status. A field that is None is removed.

    `pause`: seconds after which to look again though nothing was heard; None for no need.
    """

    conditions: Sequence[Condition] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    pause: float | None = None


class Extension(Protocol):
    """Called once in each reconcile of a ledger that is not being deleted.

    A paused one too, never `ready` then: nothing new is begun, what was begun is brought to its end.
    """

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """Do the next thing, at once (no waiting). `ready`: the ledger is Ready and nothing is in progress.

        Raises `errors.KubeError`: reported as any other of the reconcile's, and tried again.
        """


async def nothing(seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
    """Add nothing."""
    del seen, wanted, ready
    return Addition()
