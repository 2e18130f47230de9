"""The seam for what runs on top of a reconciled ledger: the failure scenarios.

Reconcile calls the extension last, with what it observed and decided, and stores what it reports in the same write of
the status as its own conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chronicle_operator.kube import errors
from chronicle_operator.observe.observe import Observation
from chronicle_operator.reconcile.desired import Desired
from chronicle_operator.status.conditions import Condition


@dataclass(frozen=True)
class Addition:
    """What an extension adds to the status. A field that is None is removed.

    `pause`: seconds after which to look again though nothing was heard; None for no need. `failures`: what could not be
    done; it is told and tried again.
    """

    conditions: Sequence[Condition] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    pause: float | None = None
    failures: Sequence[errors.KubeError] = ()


class Extension(Protocol):
    """Called once in each reconcile of a ledger that is not being deleted.

    A paused one too, never `ready` then: nothing new is begun, what was begun is brought to its end.
    """

    async def __call__(self, seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        """Do the next thing, at once (no waiting). `ready`: the ledger is Ready and nothing is in progress.

        Raises `errors.KubeError`: reported as any other of the reconcile's, and tried again.
        """


def together(*extensions: Extension) -> Extension:
    """Return one extension of several, called one after the other; each has its own conditions and fields.

    What one of them cannot do keeps no other from its work.
    """

    async def all_of_them(seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
        added: list[Addition] = []
        for extension in extensions:
            try:
                added.append(await extension(seen, wanted, ready=ready))
            except errors.KubeError as error:
                added.append(Addition(failures=[error]))
        fields: dict[str, Any] = {}
        for it in added:
            fields |= it.fields
        pauses = [it.pause for it in added if it.pause is not None]
        conditions = [condition for it in added for condition in it.conditions]
        failures = [failure for it in added for failure in it.failures]
        return Addition(conditions, fields, min(pauses, default=None), failures)

    return all_of_them


async def nothing(seen: Observation, wanted: Desired, *, ready: bool) -> Addition:
    """Add nothing."""
    del seen, wanted, ready
    return Addition()
